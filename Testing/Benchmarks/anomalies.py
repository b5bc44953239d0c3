"""Fluid-driven anomalies against SciPy: agreement and speed for one equation on one grid.

    python Testing/Benchmarks/anomalies.py --size 96 --threads 1

The reference is a NumPy implementation with scipy.integrate.solve_ivp (RK45, orders 5 and 4): upwind differences of
V . grad P, backward differences of D times forward differences, faces to the outside closed. Our time includes the
construction of the stencil.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.integrate import solve_ivp

from SlicerSynthReg.synthesis.pathology.anomaly import AnomalyConfig, draw_anomaly, make_anomalies, random_transport
from SlicerSynthReg.synthesis.pathology.transport import Faces, Transport, boundary_ramp, curl_on_faces
from SlicerSynthReg.synthesis.perlin import perlin


def head_domain(size: int) -> torch.Tensor:
    """Return (1, I, J, K) bool: an ellipsoid with a midline cleft."""
    at = torch.linspace(-1, 1, size)
    squares = (at[:, None, None] / 0.75) ** 2 + (at[:, None] / 0.95) ** 2 + (at / 0.8) ** 2
    inside = squares < 1
    inside[size // 2, : size // 3] = False
    return inside[None]


def fields(domain: torch.Tensor, speed: float, diffusion: float) -> tuple[Faces, torch.Tensor]:
    """Return velocity and diffusion of one draw, in voxels."""
    shape = tuple(domain.shape[1:])
    corners = tuple(n + 1 for n in shape)
    psi = torch.stack([perlin([seed], corners, (2, 2, 2)) for seed in (1, 2, 3)], 1) * boundary_ramp(domain, 4)
    velocity = curl_on_faces(psi, domain)
    fastest = max(float(face.abs().max()) for face in velocity)
    phi = perlin([4], shape, (2, 2, 2))
    d = phi**2
    return tuple(face * (speed / fastest) for face in velocity), d * (diffusion / float(d.mean()))  # type: ignore[return-value]


def integrate_by_scipy(
    p: np.ndarray, velocity: list[np.ndarray], d: np.ndarray, inside: np.ndarray, end: float, rtol: float, atol: float
) -> tuple[np.ndarray, int]:
    """Return P at `end`, and the number of function evaluations."""

    def time_derivative(t: float, flat: np.ndarray) -> np.ndarray:
        q = flat.reshape(p.shape)
        change = np.zeros_like(q)
        for axis in range(3):
            before, after = [slice(None)] * 3, [slice(None)] * 3
            before[axis], after[axis] = slice(None, -1), slice(1, None)
            b, a = tuple(before), tuple(after)
            opened = inside[b] & inside[a]
            step = np.where(opened, q[a] - q[b], 0.0)
            flux = 0.5 * (d[a] + d[b]) * step
            v = np.take(velocity[axis], range(1, velocity[axis].shape[axis] - 1), axis)
            change[b] += flux - np.minimum(v, 0) * step
            change[a] -= flux + np.maximum(v, 0) * step
        return change.ravel()

    found = solve_ivp(time_derivative, (0, end), p.ravel(), method="RK45", rtol=rtol, atol=atol, t_eval=[end])
    return found.y[:, -1].reshape(p.shape), int(found.nfev)


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return the result of `work`, its wall-clock and its processor seconds."""
    began, busy = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - began, time.process_time() - busy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=96, help="voxels a side")
    parser.add_argument("--time", type=float, default=0.5)
    parser.add_argument("--speed", type=float, default=12.0, help="greatest speed, voxels per unit time")
    parser.add_argument("--diffusion", type=float, default=1.0, help="mean diffusion, voxels^2 per unit time")
    parser.add_argument("--rtol", type=float, default=1e-3)
    parser.add_argument("--atol", type=float, default=1e-4)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5, help="of both by turns; the quickest of each counts")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    domain = head_domain(arguments.size)
    velocity, d = fields(domain, arguments.speed, arguments.diffusion)
    noise = perlin([5], tuple(domain.shape[1:]), (3, 3, 3))
    p = ((noise > torch.quantile(noise.flatten()[::97], 0.95)) & domain).float()
    device = arguments.device
    times = torch.tensor([arguments.time], device=device)

    def ours() -> tuple[torch.Tensor, int]:
        transport = Transport(tuple(v.to(device) for v in velocity), d.to(device), domain.to(device))  # type: ignore[arg-type]
        solution = transport.integrate(p.to(device), times, arguments.rtol, arguments.atol)
        return solution.x.cpu(), solution.evaluations

    start, flow = p[0].double().numpy(), [v[0].double().numpy() for v in velocity]
    spread, inside = d[0].double().numpy(), domain[0].numpy()

    def theirs() -> tuple[np.ndarray, int]:
        return integrate_by_scipy(start, flow, spread, inside, arguments.time, arguments.rtol, arguments.atol)

    ours()
    runs = [(timed(ours), timed(theirs)) for _ in range(arguments.repeats)]
    seconds, cpu = (min(own[n] for own, _ in runs) for n in (1, 2))
    peer_seconds, peer_cpu = (min(peer[n] for _, peer in runs) for n in (1, 2))
    (found, evaluations), (reference, peer_evaluations) = runs[0][0][0], runs[0][1][0]
    gap = np.abs(found[0].numpy() - reference)
    record = draw_anomaly(AnomalyConfig(), torch.Generator().manual_seed(0))
    began = time.perf_counter()
    make_anomalies([record], domain.to(device), 1.0)
    print(
        json.dumps(
            {
                "size": arguments.size,
                "threads": arguments.threads,
                "device": device,
                "seconds": round(seconds, 3),
                "cpu_seconds": round(cpu, 3),
                "evaluations": evaluations,
                "scipy_seconds": round(peer_seconds, 3),
                "scipy_cpu_seconds": round(peer_cpu, 3),
                "scipy_evaluations": peer_evaluations,
                "times_faster": round(peer_seconds / seconds, 1),
                "times_less_cpu": round(peer_cpu / max(cpu, 1e-9), 1),
                "largest_difference": float(gap.max()),
                "mean_difference": float(gap[domain[0].numpy()].mean()),
                "moved_by": float((found - p).abs().max()),
                "mass_kept": float(found.sum() / p.sum()),
                "whole_anomaly_seconds": round(time.perf_counter() - began, 3),
                "cfl_steps": float(random_transport([record], domain, 1.0).exchange_rate().max() * record.time),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
