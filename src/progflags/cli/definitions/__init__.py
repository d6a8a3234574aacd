"""The commands that change flag files, one file each."""
