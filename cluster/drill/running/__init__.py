"""How a run goes: the safety catch, faults under load, recovery, proof."""
