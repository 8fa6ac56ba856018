// Section `expect` of a scenario: figures that somebody claimed or measured, each with its source,
// so that a scenario says by itself what it should show. Commands that find such figures print both
// (sim/app/expectations.h).
//
//   expect:
//     - figure: kv_tokens              # names: sim/app/figures.h
//       value: 3.7e6
//       within: 5 %                    # of it; "5 points" of a rate; or in its unit
//       set: [kv_cache.swa_policy=reuse=0.22]   # optional: expected with these overrides
//       source: who said so, and where
//
// A resolved copy has every default written out: overrides that bring others, such as another model
// with a shorter context, must remove what no longer holds (engine.max_context_tokens=null).
#pragma once

#include <string>
#include <vector>

#include "sim/config/expectation.h"
#include "sim/config/section.h"

namespace v4cap {

// Keys of an entry of `expect`.
const std::vector<KeySpec>& expectation_keys();

// The list at `key` of `section`; empty when it is absent.
std::vector<Expectation> read_expectations(Section& section, const std::string& key,
                                           const std::string& file);

}  // namespace v4cap
