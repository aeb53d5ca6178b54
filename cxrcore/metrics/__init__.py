"""How good is a model, and how sure is that? Pure functions on arrays; unknown labels are NaN and left out.

One module per question: ``discrimination`` (does it rank?), ``curves``, ``operating_points`` (where to cut?),
``calibration`` (are probabilities honest?), ``intervals``, ``bootstrap``, and ``summary`` (all of it, as JSON).
"""
