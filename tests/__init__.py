"""The tests. They mirror the packages; chaos, browser and journeys run real processes."""
