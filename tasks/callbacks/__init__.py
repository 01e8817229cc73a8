"""HTTP callbacks: a task whose work is done by somebody's server.

    guard       which URLs, headers and addresses are allowed
    connector   connections to allowed addresses only
    signature   Standard Webhooks: who sent this, and when
    answer      what came back, and what it means
    request     one request

These know neither models nor engine, and import nothing of `tasks` but its pure modules. Between them and the tables:

    delivery · settlement    what is sent for a task, and what its answer changes
    ownership                the secret of an owner
"""
