"""How good is a model, and how sure is that? Pure functions on arrays; unknown labels are NaN and left out.

One module per question: ``discrimination`` (does it rank?), ``curves``, ``operating_points`` (where to cut?), ``rates``
(what does a cut cost?), ``decision_curves`` (is it worth acting on?), ``calibration`` and ``recalibration`` (are
probabilities honest?), ``confusion`` (which is taken for which?), ``subgroups`` (for whom does it fail?),
``comparison`` (is another model better?), ``second_reference`` (do other readers agree?), ``localisation`` (does it
look in the right place?), ``intervals``, ``bootstrap``, ``corrections``, and ``summary`` (all of it, as JSON).
"""
