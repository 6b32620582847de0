"""The search page: an index of own images, looked at in a browser.

`collection` is what is searched in, `app` what a browser may ask for, `guard` who may ask,
`server` what listens, and `client` how another process asks a page that runs.
"""
