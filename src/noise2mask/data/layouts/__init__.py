"""What lies in a folder that somebody was given, and which entry of a study reads it.

No stage of a study needs it: `noise2mask data add` and the messages of other commands do. May
import everything else in :mod:`noise2mask.data` and the foundations.
"""
