// What several policies share.
#pragma once

#include "sim/cache/swa_policy.h"

namespace v4cap {

// The policy's argument as a share in (0, 1]. `form`: how it is written, for the message.
double parse_share(const PolicyContext& context, const std::string& form);

// Tokens that a hit runs through all L layers to have every window back: L windows W, aligned as
// SGLang does (PRs 28058, 31713): align(align(W, page) + (L - 1) W, page). A page of one token gives
// L W: 7,808 on V4-Pro, 7,936 with pages of 256.
Tokens rebuilt_rectangle(const CacheGeometry& geometry, Tokens page);

// From how many cached tokens up a hit is rebuilt: what the scenario says, or `fallback`. Throws
// InputError (without a place) below the `reach` of a hit, whose first token must be cached.
Tokens rebuild_threshold(const PolicyContext& context, Tokens fallback, Tokens reach);

}  // namespace v4cap
