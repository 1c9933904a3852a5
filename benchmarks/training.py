"""W1 to W5 and W8 to W10: compares whole trainings with the peers that can train them."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks.measuring import SPEED, alternate, measure
from benchmarks.workloads import WORKLOADS

SB3, TORCH_AC = "Stable-Baselines3", "torch-ac"


def run(name: str, rounds: int) -> dict[str, Any]:
    """Measures neroRL, Stable-Baselines3 and, if it can train it, torch-ac in turn."""
    workload = WORKLOADS[name]
    updates = str(workload.updates)
    peers = {SB3: partial(measure, "peer", name, updates)}
    if workload.with_torch_ac:
        peers[TORCH_AC] = partial(measure, "peer_torch_ac", name, updates)
    measured = alternate(name, partial(measure, "ours", name, updates), peers, SPEED, rounds)
    return {"title": workload.title, "goal": workload.goal, **measured}


def table(results: dict[str, Any]) -> str:
    """Returns a table with a row for each workload; goals are ratios to Stable-Baselines3."""
    lines = [
        f"| steps/s of training | neroRL | {SB3} | ratio | goal | {TORCH_AC} | ratio "
        "| MiB: neroRL, peers |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, r in results.items():
        peers = r["peers"]
        cells = [f"{name}: {r['title']}", f"{r['ours'][SPEED]:,.0f}"]
        cells += [f"{peers[SB3][SPEED]:,.0f}", f"{peers[SB3]['ratio']:.1f}"]
        cells.append("–" if r["goal"] is None else f"{r['goal']:g}")
        other = peers.get(TORCH_AC)
        cells += [f"{other[SPEED]:,.0f}", f"{other['ratio']:.1f}"] if other else ["–", "–"]
        memory = [r["ours"], *peers.values()]
        cells.append(", ".join(f"{values['peak_mib']:,.0f}" for values in memory))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
