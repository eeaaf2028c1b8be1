"""The words of the program, by language: one TOML file a language, found from the files here.

To add a language, translate ``en.toml`` into a file that is named after its code (ISO 639-1), and
leave it in this folder: maps, forms and pages have it then. What it lacks stays in English.
"""
