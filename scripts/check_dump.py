#!/usr/bin/env python3
"""Checks a dump of v4exec with an implementation that shares nothing with it.

  v4exec dump --out DIR
  scripts/check_dump.py DIR

Runs DeepSeek-V4's layers in PyTorch, in double, one sequence at a time and all of its tokens at once: no pages, no
carried state, no chunks. Every sublayer starts from what the dump holds of the one before it, and discrete choices
(experts, selected entries) are compared with the dump's and then taken from it, because scores that nearly tie are
decided by rounding. Prints the relative error of everything that the dump holds, and ends with 1 when one is above
its tolerance: 1 % for what one product or sum makes, 5 % for a whole sublayer, whose five quantisers in a row turn
differences of rounding into differences of a few percent. Needs PyTorch and NumPy, no GPU.

The maths is that of DeepSeek's inference reference for V4 (model.py and kernel.py beside the checkpoint).
"""
import argparse
import json
import math
import pathlib
import sys

import numpy as np
import torch

DTYPE = torch.float64
EPS = 1e-6
TOLERANCE, SUBLAYER = 0.01, 0.05
WORST_TOKEN = 4  # times the tolerance
NEAR_TIE = 0.05  # of the largest score


# ---- number formats ----

def bf16(x):
    """Rounded to bf16, as the operators round what they store."""
    return x.to(torch.float32).to(torch.bfloat16).to(DTYPE)


E4M3 = torch.tensor([(-1.0) ** (c >> 7) * ((c & 7) * 2.0 ** -9 if (c >> 3 & 15) == 0 else
                                           (8 + (c & 7)) * 2.0 ** ((c >> 3 & 15) - 10)) for c in range(256)], dtype=DTYPE)
E2M1 = torch.tensor([0, .5, 1, 1.5, 2, 3, 4, 6, -0.0, -.5, -1, -1.5, -2, -3, -4, -6], dtype=DTYPE)


def power_of_two_scale(largest, limit, smallest):
    a = torch.clamp(largest.to(torch.float32), min=smallest) * torch.tensor(1.0 / limit, dtype=torch.float32)
    mantissa, exponent = torch.frexp(a)  # a = mantissa * 2^exponent, mantissa in [0.5, 1)
    exponent = torch.where(mantissa == 0.5, exponent - 1, exponent)
    return torch.ldexp(torch.ones_like(a, dtype=DTYPE), exponent)


def act_fp8(x, block):
    parts = x.reshape(*x.shape[:-1], x.shape[-1] // block, block)
    scale = power_of_two_scale(parts.abs().amax(-1, keepdim=True), 448.0, 1e-4)
    codes = (parts / scale).to(torch.float32).clamp(-448, 448).to(torch.float8_e4m3fn).to(DTYPE)
    return (codes * scale).reshape(x.shape)


def fp8_matrix(codes, scales):
    groups, out, inner = codes.shape
    w = E4M3[codes.long()].reshape(groups, out // 128, 128, inner // 128, 128)
    return (w * scales.to(DTYPE)[:, :, None, :, None]).reshape(groups, out, inner)


def fp4_matrix(codes, scales):
    w = torch.stack([E2M1[(codes & 15).long()], E2M1[(codes >> 4).long()]], -1).flatten(-2)
    s = torch.ldexp(torch.ones(scales.shape, dtype=DTYPE), scales.to(torch.int32) - 127)
    return w * s.repeat_interleave(32, -1)


def hadamard(x):
    """Walsh-Hadamard transform of the last 128 channels over sqrt(128)."""
    h = torch.ones(1, 1, dtype=DTYPE)
    while h.shape[0] < 128:
        h = torch.cat([torch.cat([h, h], 1), torch.cat([h, -h], 1)], 0)
    return x @ h / math.sqrt(128)


# ---- pieces of a layer ----

def rms_norm(x, weight=None):
    y = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS)
    return y if weight is None else y * weight.to(DTYPE)


def rope_angles(positions, compressed):
    """Float32 angles, as the reference makes them: theta 160000 with YaRN, or 10000."""
    theta = 160000.0 if compressed else 10000.0
    f = 1.0 / (theta ** (torch.arange(0, 64, 2, dtype=torch.float32) / 64))
    if compressed:
        def turns(count):
            return 64 * math.log(65536 / (count * 2 * math.pi)) / (2 * math.log(theta))
        low, high = max(math.floor(turns(32)), 0), min(math.ceil(turns(1)), 63)
        ramp = ((torch.arange(32, dtype=torch.float32) - low) / (high - low)).clamp(0, 1)
        f = f / 16 * ramp + f * (1 - ramp)
    return torch.outer(positions.to(torch.float32), f).to(DTYPE)


def rotate(x, angles, inverse=False):
    """Rotates the last 64 channels of x[tokens, ..., channels] in interleaved pairs."""
    shape = [x.shape[0]] + [1] * (x.dim() - 2) + [32]
    cos, sin = torch.cos(angles).reshape(shape), torch.sin(angles).reshape(shape)
    if inverse:
        sin = -sin
    head, tail = x[..., :-64], x[..., -64:]
    even, odd = tail[..., 0::2], tail[..., 1::2]
    turned = torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)
    return torch.cat([head, turned], -1)


def mhc_pre(x, w):
    tokens = x.shape[0]
    flat = x.reshape(tokens, -1)
    m = flat @ w['fn'].to(DTYPE).T * torch.rsqrt(flat.square().mean(-1, keepdim=True) + EPS)
    scale, base = w['scale'].to(DTYPE), w['base'].to(DTYPE)
    pre = torch.sigmoid(m[:, :4] * scale[0] + base[:4]) + EPS
    y = bf16((pre[:, :, None] * x).sum(1))
    if base.numel() == 4:
        return y, None, None
    post = 2 * torch.sigmoid(m[:, 4:8] * scale[1] + base[4:8])
    c = torch.softmax((m[:, 8:] * scale[2] + base[8:]).reshape(tokens, 4, 4), -1) + EPS
    c = c / (c.sum(1, keepdim=True) + EPS)
    for _ in range(19):
        c = c / (c.sum(2, keepdim=True) + EPS)
        c = c / (c.sum(1, keepdim=True) + EPS)
    return y, post, c


def mhc_post(x, y, post, c):
    return bf16(post[:, :, None] * y[:, None, :] + torch.einsum('tij,tid->tjd', c, x))


def compress(x, weight, ape, ratio, norm, width):
    """Entries of all full blocks of a sequence from its tokens' x: [blocks, width], before RoPE."""
    overlap = ratio == 4
    columns = width * (2 if overlap else 1)
    ug = x @ weight.to(DTYPE).T
    blocks = x.shape[0] // ratio
    u = ug[:blocks * ratio, :columns].reshape(blocks, ratio, columns)
    g = ug[:blocks * ratio, columns:].reshape(blocks, ratio, columns) + ape.to(DTYPE)
    if overlap:
        before_u = torch.zeros(1, ratio, width, dtype=DTYPE)
        before_g = torch.full((1, ratio, width), -math.inf, dtype=DTYPE)
        u = torch.cat([torch.cat([before_u, u[:-1, :, :width]]), u[:, :, width:]], 1)
        g = torch.cat([torch.cat([before_g, g[:-1, :, :width]]), g[:, :, width:]], 1)
    return bf16(rms_norm(bf16((u * torch.softmax(g, 1)).sum(1)), norm))


class Layer:
    def __init__(self, dump, name, kind, hash_routed, model):
        self.kind, self.hash_routed, self.model = kind, hash_routed, model
        self.get = lambda part: dump.tensor(f'{name}.{part}')
        self.fp8 = lambda part: fp8_matrix(self.get(part + '.codes'), self.get(part + '.scales'))
        self.mhc = lambda part: {k: self.get(f'{part}.{k}') for k in ('fn', 'scale', 'base')}

    def attention(self, x, choices):
        """x [tokens, d] of one sequence from position 0 on."""
        tokens, heads = x.shape[0], self.model['heads']
        positions = torch.arange(tokens)
        compressed = self.kind != 'window'
        angles = rope_angles(positions, compressed)
        normed = bf16(rms_norm(x, self.get('attention_norm')))
        latent = bf16(act_fp8(normed, 128) @ self.fp8('wqa_wkv')[0].T)
        q_lora = self.model['q_lora']
        qr = act_fp8(bf16(rms_norm(latent[:, :q_lora], self.get('q_norm'))), 128)
        q = bf16(qr @ self.fp8('wqb')[0].T).reshape(tokens, heads, 512)
        q = bf16(rotate(rms_norm(q), angles))
        kv = bf16(rotate(bf16(rms_norm(latent[:, q_lora:], self.get('kv_norm'))), angles))
        kv = torch.cat([act_fp8(kv[:, :448], 64), kv[:, 448:]], -1)

        distance = positions[:, None] - positions[None, :]
        mask = (distance >= 0) & (distance < 128)
        keys = kv
        if compressed:
            ratio, width = (4, 2048) if self.kind == 'csa' else (128, 1024)
            entries = compress(normed, self.get('compress')[:width], self.get('ape'), ratio, self.get('compressor_norm'),
                               512)
            starts = rope_angles(torch.arange(entries.shape[0]) * ratio, True)
            entries = bf16(rotate(entries, starts))
            entries = torch.cat([act_fp8(entries[:, :448], 64), entries[:, 448:]], -1)
            visible = torch.arange(entries.shape[0])[None, :] < ((positions[:, None] + 1) // ratio)
            if self.kind == 'csa':
                visible = self.select(normed, qr, visible, choices)
            keys = torch.cat([kv, entries])
            mask = torch.cat([mask, visible], 1)
        scores = torch.einsum('thd,jd->thj', q, keys) * 512 ** -0.5
        scores = scores.masked_fill(~mask[:, None, :], -math.inf)
        sink = self.get('sink').to(DTYPE)[None, :, None].expand(tokens, heads, 1)
        weights = torch.softmax(torch.cat([scores, sink], -1), -1)[..., :-1]
        o = bf16(torch.einsum('thj,jd->thd', weights, keys))
        o = act_fp8(bf16(rotate(o, angles, inverse=True)).reshape(tokens, -1), 128)
        groups = self.model['output_groups']
        u = torch.einsum('tgi,goi->tgo', o.reshape(tokens, groups, -1), self.fp8('woa'))
        return bf16(act_fp8(bf16(u).reshape(tokens, -1), 128) @ self.fp8('wob')[0].T)

    def select(self, normed, qr, visible, choices):
        tokens = normed.shape[0]
        weight = self.get('compress')
        keys = compress(normed, weight[2048:2560], self.get('key_ape'), 4, self.get('key_compressor_norm'), 128)
        keys = bf16(hadamard(bf16(rotate(keys, rope_angles(torch.arange(keys.shape[0]) * 4, True)))))
        keys = act_fp8(keys, 128)
        q = bf16(qr @ self.fp8('indexer_wqb')[0].T).reshape(tokens, 64, 128)
        q = act_fp8(bf16(hadamard(bf16(rotate(q, rope_angles(torch.arange(tokens), True))))), 128)
        w = normed @ weight[2560:].to(DTYPE).T * 128 ** -0.5 * 64 ** -0.5
        scores = torch.einsum('th,thj->tj', w, torch.einsum('thd,jd->thj', q, keys).clamp(min=0))
        scores = scores.masked_fill(~visible, -math.inf)
        followed = choices.take(visible.shape[1])  # bool [tokens, entries]
        k = self.model['top_k']
        order = scores.argsort(-1, descending=True)[:, :k]
        own = torch.zeros_like(visible).scatter(1, order, True) & visible
        choices.compare('selected entries', scores, own, followed)
        wanted = visible.sum(-1).clamp(max=k)
        choices.refuse('selected entries', (followed & ~visible).sum() + (followed.sum(-1) != wanted).sum())
        return followed

    def experts(self, x, token_ids, choices):
        normed = bf16(rms_norm(x, self.get('ffn_norm')))
        inputs = act_fp8(normed, 128)
        s = torch.sqrt(torch.nn.functional.softplus(normed @ self.get('gate').to(DTYPE).T))
        active = self.model['active']
        chosen = choices.take_experts(active)
        table = torch.zeros(s.shape, dtype=torch.bool)
        followed = table.scatter(1, chosen, True)
        choices.refuse('experts', (followed.sum(-1) != active).sum())
        if self.hash_routed:
            choices.refuse('experts by table', (self.get('expert_table')[token_ids].long() != chosen).sum())
        else:
            biased = s + self.get('gate_bias').to(DTYPE)
            choices.compare('experts', biased, table.scatter(1, biased.topk(active, -1).indices, True), followed)
        weights = s.gather(1, chosen)
        weights = weights / weights.sum(-1, keepdim=True) * self.model['route_scale']
        w13 = fp4_matrix(self.get('w13.codes'), self.get('w13.scales'))
        w2 = fp4_matrix(self.get('w2.codes'), self.get('w2.scales'))
        y = torch.zeros_like(x)
        for e in range(self.model['experts']):
            rows, place = torch.nonzero(chosen == e, as_tuple=True)
            if rows.numel() > 0:
                y[rows] += bf16(self.mlp(inputs[rows], w13[e], w2[e], weights[rows, place]))
        shared = self.mlp(inputs, self.fp8('shared_w13')[0], self.fp8('shared_w2')[0], None)
        return bf16(y + bf16(shared))

    def mlp(self, x, w13, w2, weight):
        h = x @ w13.T
        if weight is None:
            h = bf16(h)
        gate, up = h.chunk(2, -1)
        a = torch.nn.functional.silu(gate.clamp(max=10)) * up.clamp(-10, 10)
        if weight is not None:
            a = a * weight[:, None]
        return act_fp8(bf16(a), 128) @ w2.T

    def run(self, x, token_ids, choices, dumped_attention, dumped_ffn):
        y, post, c = mhc_pre(x, self.mhc('attention_mhc'))
        attention = self.attention(y, choices)
        x = mhc_post(x, dumped_attention, post, c)
        y, post, c = mhc_pre(x, self.mhc('ffn_mhc'))
        ffn = self.experts(y, token_ids, choices)
        return mhc_post(x, dumped_ffn, post, c), attention, ffn


class Choices:
    """The dump's discrete choices of one layer and sequence, all steps joined."""

    def __init__(self, rows_selected, rows_chosen, tally):
        self.selected, self.chosen, self.tally = rows_selected, rows_chosen, tally

    def take(self, entries):
        table = torch.zeros(self.selected.shape[0], entries + 1, dtype=torch.bool)
        return table.scatter(1, torch.where(self.selected < 0, entries, self.selected), True)[:, :entries]

    def take_experts(self, active):
        return self.chosen.reshape(-1, active)

    def compare(self, what, scores, own, followed):
        """Leaves out choices whose score is near the best one that was not chosen."""
        finite = torch.where(scores.isinf(), 0, scores)
        best_left = scores.masked_fill(own, -math.inf).amax(-1, keepdim=True)
        clear = own & (scores - best_left >= NEAR_TIE * finite.abs().amax(-1, keepdim=True))
        clear &= ~best_left.isinf()  # where everything is chosen there is no choice
        shared, wanted = self.tally.get(what, (0, 0))
        self.tally[what] = (shared + int((clear & followed).sum()), wanted + int(clear.sum()))

    def refuse(self, what, count):
        """Choices that nobody could make."""
        name = what + ' that cannot be'
        self.tally[name] = self.tally.get(name, 0) + int(count)


class Dump:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.index = json.loads((self.folder / 'index.json').read_text())

    def tensor(self, name):
        entry = self.index['arrays'][name]
        array = np.load(self.folder / entry['file'])
        if entry['format'] == 'bf16':
            return torch.from_numpy((array.astype(np.uint32) << 16).view(np.float32).copy()).to(DTYPE)
        return torch.from_numpy(array)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder')
    arguments = parser.parse_args()
    try:
        dump = Dump(arguments.folder)
    except OSError as error:
        print(f'check_dump: expected a folder that v4exec dump wrote, found {error}', file=sys.stderr)
        return 2
    model, steps = dump.index['model'], dump.index['steps']
    layers = [Layer(dump, f'layer{i}', spec['kind'], spec['hash_routed'], model)
              for i, spec in enumerate(model['layers'])]

    starts = [dump.tensor(f'step{i}.starts') for i in range(steps)]
    counts = [dump.tensor(f'step{i}.counts') for i in range(steps)]
    sequences = starts[0].numel()

    def of_sequence(parts, s):
        """Rows of a sequence from per-step rows, in the order of its positions."""
        rows = []
        for i in range(steps):
            begin = int(counts[i][:s].sum())
            rows.append(parts[i][begin:begin + int(counts[i][s])])
        return torch.cat(rows)

    def gather(name, s):
        return of_sequence([dump.tensor(f'step{i}.{name}') for i in range(steps)], s)

    # Choices lie in the order of steps, layers, and within a layer selected entries before experts.
    per_layer = [{'selected': [], 'chosen': []} for _ in layers]
    number = 0
    for i in range(steps):
        tokens = int(counts[i].sum())
        for layer, store in zip(layers, per_layer):
            if layer.kind == 'csa':
                store['selected'].append(dump.tensor(f'choice{number}').long().reshape(tokens, model['top_k']))
                number += 1
            store['chosen'].append(dump.tensor(f'choice{number}').long().reshape(tokens, model['active']))
            number += 1

    errors, tally, wrong_choices = {}, {}, 0

    def compare(what, expected, got, tolerance=TOLERANCE):
        difference = (expected - got.to(DTYPE)).flatten(1).square().sum(1)
        size = expected.flatten(1).square().sum(1)
        worst = float((difference / size).max().sqrt())
        before = errors.get(what, (0.0, 0.0, 0.0, 0.0))
        errors[what] = (before[0] + float(difference.sum()), before[1] + float(size.sum()), max(before[2], worst),
                        tolerance)

    def fp8(name):
        return fp8_matrix(dump.tensor(name + '.codes'), dump.tensor(name + '.scales'))[0]

    def mhc(name):
        return {k: dump.tensor(f'{name}.{k}') for k in ('fn', 'scale', 'base')}

    table, head = dump.tensor('embedding'), dump.tensor('head')

    def logits(x, mixing, norm):
        y, _, _ = mhc_pre(x, mhc(mixing))
        return bf16(rms_norm(y, dump.tensor(norm))) @ head.T

    for s in range(sequences):
        ids = gather('token_ids', s).long()
        x = table[ids][:, None, :].repeat(1, 4, 1)
        compare('embedding', x, gather('embedded', s))
        for i, layer in enumerate(layers):
            last = i == len(layers) - 1
            if last:  # the MTP layer, which takes the tokens that follow
                compare('logits', logits(x, 'head_mhc', 'final_norm'), gather('logits', s))
                wrong_choices += int((gather('logits', s).argmax(-1) != gather('chosen', s)).sum())
                e = act_fp8(bf16(rms_norm(table[gather('next_ids', s).long()], dump.tensor('mtp_embed_norm'))), 128) @ fp8('mtp_embed').T
                h = act_fp8(bf16(rms_norm(x, dump.tensor('mtp_hidden_norm'))), 128) @ fp8('mtp_hidden').T
                x = bf16(bf16(e)[:, None, :] + bf16(h))
                compare('MTP input', x, gather('mtp_input', s), SUBLAYER)
                x = gather('mtp_input', s)
            selected = of_sequence(per_layer[i]['selected'], s) if layer.kind == 'csa' else None
            choices = Choices(selected, of_sequence(per_layer[i]['chosen'], s), tally)
            name = f'layer {i} ({layer.kind}{", MTP" if last else ""})'
            dumped = {part: gather(f'layer{i}.{part}', s) for part in ('attention', 'ffn', 'streams')}
            x, attention, ffn = layer.run(x, ids, choices, dumped['attention'], dumped['ffn'])
            compare(f'{name} attention', attention, dumped['attention'], SUBLAYER)
            compare(f'{name} experts', ffn, dumped['ffn'], SUBLAYER)
            compare(f'{name} streams', x, dumped['streams'])
            x = dumped['streams']
        compare('MTP logits', logits(x, 'mtp_head_mhc', 'mtp_final_norm'), gather('mtp_logits', s))

    failed = 0
    for what, (difference, size, worst, tolerance) in errors.items():
        error = math.sqrt(difference / size) if size > 0 else math.inf
        passed = error <= tolerance and worst <= WORST_TOKEN * tolerance
        failed += not passed
        print(f'{what:32} error {error:8.2e}, worst token {worst:8.2e}  {"ok" if passed else "FAILED"}')
    print(f'{"greedy choices":32} {wrong_choices} wrong  {"FAILED" if wrong_choices else "ok"}')
    failed += wrong_choices > 0
    for what, found in tally.items():
        if isinstance(found, int):
            passed = found == 0
            print(f'{what:32} {found}  {"ok" if passed else "FAILED"}')
        else:
            share = found[0] / max(found[1], 1)
            passed = share >= 0.999 and found[1] > 0
            print(f'{what:32} shared {100 * share:6.2f} % of {found[1]}  {"ok" if passed else "FAILED"}')
        failed += not passed
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
