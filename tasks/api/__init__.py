"""The REST API under `/api/v1`, and health and metrics at the root. A view authorises, calls a verb, shows the result.

Read it in this order:

    problems · encoding                                    how errors and JSON are written and read
    authentication · permissions · limits · throttling     who is asking, whether they may, how often
    endpoint                                               what all views share
    queries · pages · search · idempotency                 what a request may ask, and how a list is cut
    examples · schema                                      the OpenAPI document
    tasks · task · pipelines · queues · hub                the views
    tokens · health · documents
    urls                                                   their addresses
"""
