"""The pages that people read. A view shows; what a page changes, it changes over the REST API.

moments                     times in words; pure
offers                      what a reader may do: buttons, handlers to choose from
listing                     which tasks the list shows
waiting                     why a task has not started
drawing                     where the steps of a pipeline are drawn; pure
views · pipelines           the pages
signin · secret · policy    signing in, the secret of one's callbacks, what browsers may load
urls                        their addresses
"""
