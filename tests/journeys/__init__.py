"""The product as its users meet it: real processes, from the first start to the last answer."""
