"""Published protocols computed once more, one vertex, pixel and prediction after the other, as their descriptions say."""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy.spatial import cKDTree


def vertex_masks_posed(inside, places, scene):
    """(Q, N) bool: `inside` (Q, S, h, w) bool at the network, `places` (S, 3, 3) network from original pixels."""
    mesh = scene.truth.mesh
    votes = np.zeros((len(inside), len(mesh.vertices)), dtype=int)
    seen = np.zeros(len(mesh.vertices), dtype=int)
    for number, view in enumerate(scene.views):
        depth, intrinsics = mesh.sensor_depth[number].double().numpy(), mesh.sensor_intrinsics[number].double().numpy()
        pose = view.cam_from_world.double().numpy()
        rows, columns = depth.shape
        full_h, full_w = view.image.shape[1:]
        matrix = places[number].double().numpy()
        in_camera = mesh.vertices.double().numpy() @ pose[:3, :3].T + pose[:3, 3]
        for k, (x, y, z) in enumerate(in_camera.tolist()):
            if z <= 0:
                continue
            u, v = intrinsics[0, 0] * x / z + intrinsics[0, 2], intrinsics[1, 1] * y / z + intrinsics[1, 2]
            column, row = math.floor(u), math.floor(v)
            if not (0 <= column < columns and 0 <= row < rows):
                continue
            if depth[row, column] <= 0 or abs(depth[row, column] - z) >= 0.1:
                continue
            seen[k] += 1
            original = np.array([(column + 0.5) * full_w / columns - 0.5, (row + 0.5) * full_h / rows - 0.5, 1.0])
            at = np.floor((matrix @ original)[:2] + 0.5 + 1e-9).astype(int)
            if 0 <= at[0] < inside.shape[3] and 0 <= at[1] < inside.shape[2]:
                votes[:, k] += inside[:, number, at[1], at[0]]
    masks = (votes > 0) & (2 * votes >= seen)
    pieces = mesh.superpoints.numpy()
    for piece in np.unique(pieces):
        own = pieces == piece
        masks[:, own] = (2 * masks[:, own].sum(1) > own.sum())[:, None]
    return masks


def vertex_masks_unposed(points, owner, count, found, true, vertices):
    """(Q, N) bool: points (M, 3) of owners (M,) after a similarity from camera centres, and closest points with scale."""

    def centers(poses):
        return np.stack([-pose[:3, :3].T @ pose[:3, 3] for pose in poses])

    def fit(source, target):
        a, b = source - source.mean(0), target - target.mean(0)
        u, values, vt = np.linalg.svd(b.T @ a / len(a))
        signs = np.ones(3)
        signs[2] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
        rotation = u @ np.diag(signs) @ vt
        scale = (values * signs).sum() / (a**2).sum() * len(a)
        return scale, rotation, target.mean(0) - scale * rotation @ source.mean(0)

    def moved(values, way):
        return way[0] * values @ way[1].T + way[2]

    tree = cKDTree(vertices)
    way = fit(centers(found), centers(true))
    thin = points[:: -(-len(points) // 20_000)]
    for gate in (0.25,) * 5 + (0.10,) * 5:
        distance, nearest = tree.query(moved(thin, way))
        near = distance < gate
        way = fit(thin[near], vertices[nearest[near]])
    distance, nearest = tree.query(moved(points, way))
    votes = np.zeros((count, len(vertices)), dtype=int)
    for far, vertex, own in zip(distance, nearest, owner, strict=True):
        if far < 0.05 and own >= 0:
            votes[own, vertex] += 1
    masks = np.zeros(votes.shape, dtype=bool)
    for vertex in range(len(vertices)):
        if votes[:, vertex].max() > 0:
            masks[votes[:, vertex].argmax(), vertex] = True
    return masks


def average_precision(scenes, threshold):
    """Of one class: scenes of (masks (P, N), scores, ids (N,), void (N,) bool); instances are the ids above 0 outside of void."""
    entries, missed = [], 0
    for masks, scores, ids, void in scenes:
        order = [row for row in sorted(range(len(masks)), key=lambda row: -scores[row]) if masks[row].sum() >= 100]
        true = {number: (ids == number) & ~void for number in np.unique(ids[~void]) if number > 0}
        iou = {(r, n): (masks[r] & own).sum() / (masks[r] | own).sum() for r in order for n, own in true.items()}
        used = set()
        for number, own in true.items():
            if own.sum() < 100:
                continue
            hits = [row for row in order if row not in used and iou[row, number] > threshold]
            if not hits:
                missed += 1
                continue
            used.add(hits[0])
            entries += [(scores[hits[0]], 1), *((scores[row], 0) for row in hits[1:])]
        small = np.zeros(len(ids), dtype=bool)
        for own in true.values():
            small |= own & (own.sum() < 100)
        for row in order:
            if all(iou[row, number] <= threshold for number in true):
                excused = (masks[row] & void).sum() + (masks[row] & small).sum()
                if excused / masks[row].sum() <= threshold:
                    entries.append((scores[row], 0))
    hits = sum(hit for _, hit in entries)
    if hits + missed == 0:
        return math.nan
    if hits == 0:
        return 0.0
    curve = []
    for limit in sorted({score for score, _ in entries}):
        above = [hit for score, hit in entries if score >= limit]
        curve.append((sum(above) / len(above), sum(above) / (hits + missed)))
    curve.append((1.0, 0.0))
    recalls = [curve[0][1], *(recall for _, recall in curve), 0.0]
    return sum(curve[k][0] * (recalls[k] - recalls[k + 2]) / 2 for k in range(len(curve)))


def reduced_256(values):
    """(h, w) -> (206, 206): nearest pixel of 256 x 256, 25 of each side cut off."""
    height, width = values.shape
    rows = [math.floor(k * height / 256) for k in range(25, 231)]
    columns = [math.floor(k * width / 256) for k in range(25, 231)]
    return np.array([[values[row, column] for column in columns] for row in rows])


def per_image_semantics(images, count):
    """mIoU and accuracy of (predicted, true) maps of `count` classes, true -1 = not annotated."""
    of_class = [[] for _ in range(count)]
    right = known = 0
    for predicted, true in images:
        there = true >= 0
        right, known = right + ((predicted == true) & there).sum(), known + there.sum()
        for k in range(count):
            union = (((predicted == k) | (true == k)) & there).sum()
            if union:
                of_class[k].append(((predicted == k) & (true == k)).sum() / union)
    return sum(np.mean(values) if values else 0.0 for values in of_class) / count, right / known


def cross_view(predicted, true):
    """mIoU and F of ids (V, h, w) that hold over views, by trying all assignments."""
    numbers, found = [n for n in np.unique(true) if n > 0], [n for n in np.unique(predicted) if n > 0]
    masked = np.where(true > 0, predicted, 0)
    table = np.zeros((len(numbers), len(found)))
    for i, j in itertools.product(range(len(numbers)), range(len(found))):
        views = [v for v in range(len(true)) if (true[v] == numbers[i]).any()]
        a, b = true == numbers[i], masked == found[j]
        table[i, j] = np.mean([(a[v] & b[v]).sum() / (a[v] | b[v]).sum() for v in views])
    wide = np.zeros((len(numbers), max(len(found), len(numbers))))
    wide[:, : len(found)] = table
    best = max(itertools.permutations(range(wide.shape[1]), len(numbers)), key=lambda p: sum(wide[i, j] for i, j in enumerate(p)))
    values = [wide[i, j] for i, j in enumerate(best)]
    hits = sum(value > 0.5 for value in values)
    precision, recall = hits / len(found), hits / len(numbers)
    return float(np.mean(values)), 2 * precision * recall / (precision + recall + 1e-6)


def scene_pq(predicted, true, is_thing, min_iou, min_share):
    """PQ of all views as one picture: maps (class, id), class -1 = void; ids of stuff count for nothing."""
    (classes_p, ids_p), (classes_t, ids_t) = (tuple(np.asarray(item).ravel() for item in pair) for pair in (predicted, true))
    kept = classes_t >= 0
    classes_p, ids_p, classes_t, ids_t = classes_p[kept], ids_p[kept], classes_t[kept].copy(), ids_t[kept]
    scores = {}
    rare = {k for k in range(len(is_thing)) for item in (classes_p, classes_t) if 0 < (item == k).sum() < min_share * len(item)}
    void_p, void_t = np.isin(classes_p, [-1, *rare]), np.isin(classes_t, [-1, *rare])
    for k in set(np.unique(classes_p)) | set(np.unique(classes_t)):
        if k in rare or k < 0:
            continue

        def segments(classes, ids, k=k):
            own = classes == k
            return [own & (ids == n) for n in np.unique(ids[own])] if is_thing[k] else [own] if own.any() else []

        found, wanted = segments(classes_p, ids_p), segments(classes_t, ids_t)
        total, hits, used_p, used_t = 0.0, 0, set(), set()
        for (i, a), (j, b) in itertools.product(enumerate(found), enumerate(wanted)):
            union = (a | b).sum() - (a & void_t).sum() - (b & void_p).sum()
            if (a & b).sum() / union > min_iou:
                total, hits, used_p, used_t = total + (a & b).sum() / union, hits + 1, used_p | {i}, used_t | {j}
        wrong = [a for i, a in enumerate(found) if i not in used_p and (a & void_t).sum() <= 0.5 * a.sum()]
        lost = [b for j, b in enumerate(wanted) if j not in used_t and (b & void_p).sum() <= 0.5 * b.sum()]
        whole = hits + (len(wrong) + len(lost)) / 2
        if whole:
            scores[k] = total / whole
    return float(np.mean(list(scores.values())))


def loose_pq(predicted, true, is_thing):
    """PanopticRecon++'s PQ: a quarter of the pixels, IoU over 0.1, classes by majority; the mean over the truth's classes."""

    def segments(classes, ids):
        found = []  # (class, elements)
        for number in np.unique(ids[ids > 0]):
            own = ids == number
            of_class = max(range(-1, len(is_thing)), key=lambda k, own=own: ((classes[own] == k).sum(), -k))
            if of_class in occurring:
                found.append((of_class, own))
        joined = [(k, np.any([own for c, own in found if c == k], axis=0)) for k in occurring if not is_thing[k]]
        loose = [(k, (ids == 0) & (classes == k)) for k in occurring]
        every = [item for item in found if is_thing[item[0]]] + joined + loose
        return [(k, np.broadcast_to(own, classes.shape)) for k, own in every if own.any()]

    def quarter(values):
        rows = [math.floor((k + 0.5) * values.shape[1] / (values.shape[1] // 4)) for k in range(values.shape[1] // 4)]
        columns = [math.floor((k + 0.5) * values.shape[2] / (values.shape[2] // 4)) for k in range(values.shape[2] // 4)]
        return values[:, rows][:, :, columns].ravel()

    occurring = [int(k) for k in np.unique(true[0]) if k >= 0]
    found, wanted = segments(*map(quarter, predicted)), segments(*map(quarter, true))
    void = ~np.any([own for _, own in wanted], axis=0)
    values = []
    for k in occurring:
        total, hits, used_p, used_t = 0.0, 0, set(), set()
        for (i, (c, a)), (j, (d, b)) in itertools.product(enumerate(found), enumerate(wanted)):
            iou = (a & b).sum() / ((a | b).sum() - (a & void).sum())
            if c == d == k and iou > 0.1:
                total, hits, used_p, used_t = total + iou, hits + 1, used_p | {i}, used_t | {j}
        wrong = sum(c == k and i not in used_p and (a & void).sum() <= 0.5 * a.sum() for i, (c, a) in enumerate(found))
        lost = sum(d == k and j not in used_t for j, (d, _) in enumerate(wanted))
        whole = hits + (wrong + lost) / 2
        values.append(total / whole if whole else 0.0)
    return float(np.mean(values))
