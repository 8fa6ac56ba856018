// What a scheduler decides for one step of the engine: which sequences run and how many tokens
// each. The simulator asks a cost model how long a plan takes; the executor launches it. Both then
// report it as finished. A plan says nothing about time or devices.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/core/units.h"

namespace v4cap {

using RequestIndex = std::uint32_t;

enum class PieceKind : std::uint8_t {
  decode,   // the next token of a sequence that is generating, and its drafts to verify
  prefill,  // a chunk of prompt tokens
  rebuild,  // a chunk of tokens run again only to restore window and compressor state: reads and
            // writes no compressed entries of its own, produces no token
};

// `tokens` new positions of one sequence, after `past` positions that are already in its cache. A
// decode piece has one for the next token and one for each draft, so its length is the same in every
// step; how many of them turn out right is known when the step ends.
struct StepPiece {
  RequestIndex request = 0;
  PieceKind kind{};
  bool emits_token =
      false;  // it yields generated tokens (decode) or the first one (a prompt's last chunk)
  Tokens past;
  Tokens tokens;
  bool operator==(const StepPiece&) const = default;
};

// Bytes of cached state that the step copies besides its kernels' own reads and writes.
struct StepCopies {
  Bytes points_written;  // kept points copied out of running windows
  Bytes points_read;     // kept points copied back into running windows on a hit
  bool operator==(const StepCopies&) const = default;
};

struct StepPlan {
  std::vector<StepPiece> pieces;
  StepCopies copies;

  void clear() {
    pieces.clear();
    copies = {};
  }
  bool empty() const { return pieces.empty(); }
  bool operator==(const StepPlan&) const = default;
};

}  // namespace v4cap
