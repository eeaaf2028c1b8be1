"""Random convolutional features: arrays in, arrays out.

No network, no scheduler, no geometry. The reading order is ``scaling`` (reflectance to the numbers
that filters see), ``recipe`` (how patches become filters), ``bank`` (filters with an identity),
``sampling`` (imagery to a bank), ``kernel`` (convolve, rectify, pool) and ``rcf`` (a block or chips
in, features out). ``transformer`` (scikit-learn) and ``labelled`` (xarray) give the same to others;
nothing else imports them.
"""
