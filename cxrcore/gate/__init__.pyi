from .fitting import GateExamples, fit_gate
from .input_gate import InputGate
from .negatives import draw_negatives
from .reasons import REASONS, Reason, Verdict, reasons_of

__all__ = [
    "REASONS",
    "GateExamples",
    "InputGate",
    "Reason",
    "Verdict",
    "draw_negatives",
    "fit_gate",
    "reasons_of",
]
