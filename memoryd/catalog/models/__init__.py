"""Models as the memory knows them: with the runs that used them, seen through the caller's projects.

Lists and shows models, their runs, and names that stood for several contents, with the runs of each.
"""
