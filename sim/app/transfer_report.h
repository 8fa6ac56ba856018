// v4cap fit --transfer PROFILE.. --to HARDWARE [--against PROFILE]: what measured profiles give for
// another GPU, and how far that is from its own measured one.
#pragma once

#include <string>
#include <vector>

#include "sim/cost/transfer.h"
#include "sim/output/table.h"

namespace v4cap {

struct TransferQuestion {
  std::vector<std::string> donors;  // names of profiles, the nearest first
  std::string target;               // hardware, by name or path
  std::string measured;             // profile to compare with; "" = none
};

struct TransferReport {
  struct Family {
    std::string name;
    std::int64_t series = 0, samples = 0;
    double median_factor = 0;  // of transferred times over those of the nearest donor
  };
  Profile profile;
  std::vector<Family> families;
  std::vector<TransferError> errors;  // empty without a profile to compare with
};

// Of all models that have a file. Throws InputError.
TransferReport transfer_report(const TransferQuestion& question);

std::string transfer_text(const TransferReport& report, const TextStyle& style);
std::string transfer_json(const TransferReport& report);

}  // namespace v4cap
