"""From bags to a data set file: in parallel, resumable, adding to what is there.

`ingest.ingest` is the whole way; `convert_bag` does one bag, `concatenate` joins the parts.
"""
