"""PageRank of a graph, by power iteration with numpy.

Event:  {"edges": [[from, to], ...], "directed": true, "damping": 0.85, "top": 10}
Result: {"nodes", "edges", "ranks": [{"node", "rank"}, ...] the highest first}
A page without links passes its rank to every page alike.
"""

import numpy as np

TOLERANCE = 1e-12
ITERATIONS_MAX = 1000
NODES_MAX = 5000


def link_matrix(edges, directed):
    names = sorted({node for edge in edges for node in edge})
    if not 0 < len(names) <= NODES_MAX:
        raise ValueError(f"the graph must have between 1 and {NODES_MAX} nodes")
    position = {name: index for index, name in enumerate(names)}
    links = np.zeros((len(names), len(names)))
    for source, target in edges:
        links[position[target], position[source]] = 1.0
        if not directed:
            links[position[source], position[target]] = 1.0
    return names, links


def rank(links, damping):
    count = links.shape[0]
    outgoing = links.sum(axis=0)
    dangling = outgoing == 0
    step = links / np.where(dangling, 1.0, outgoing)
    ranks = np.full(count, 1.0 / count)
    for iteration in range(1, ITERATIONS_MAX + 1):
        spread = damping * (step @ ranks + ranks[dangling].sum() / count) + (1.0 - damping) / count
        change = np.abs(spread - ranks).sum()
        ranks = spread
        if change < TOLERANCE:
            return ranks, iteration
    raise ArithmeticError(f"no convergence within {ITERATIONS_MAX} iterations")


def handler(event, context):
    edges = event["edges"]
    names, links = link_matrix(edges, event.get("directed", True))
    ranks, iterations = rank(links, float(event.get("damping", 0.85)))
    print(f"{len(names)} nodes, {len(edges)} edges: converged after {iterations} iterations")
    # Equal ranks are ordered by name, so that rounding does not decide.
    order = sorted(range(len(names)), key=lambda index: (-round(ranks[index], 12), names[index]))
    top = int(event.get("top", 10))
    return {
        "nodes": len(names),
        "edges": len(edges),
        "ranks": [{"node": names[index], "rank": float(ranks[index])} for index in order[:top]],
    }
