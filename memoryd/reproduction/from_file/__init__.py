"""From any file to the asset that it is, or may be: a client's copy, without its texts, scaled, encoded anew, mirrored.

Owns nothing stored. Promises: of the file that is asked about nothing is kept but its hash in the audit trail; a recognised
copy is never passed off as the original bytes; where several originals are plausible, nobody but a person takes one.
"""
