"""The evaluation dashboard: one page, one question. ``python -m dashboard``, or ``streamlit run dashboard/app.py``."""
