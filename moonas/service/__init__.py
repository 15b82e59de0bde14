"""The service: studies over HTTP, as REST below /api/v1 and as pages. It translates; what it says comes from the layers below.

app.py puts it together, server.py runs it, api/ has the routes, security/ what stands before every one of them.
"""
