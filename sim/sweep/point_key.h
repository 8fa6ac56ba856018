// The key of a point's result; plan.h says what it depends on.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "sim/config/scenario.h"

namespace v4cap {

// 32 hexadecimal digits of the text.
std::string content_key(std::string_view text);

// Remembers what it read of files. Safe on several threads.
class PointKeys {
 public:
  // Throws InputError for a trace or profile that cannot be read.
  std::string key_of(const Scenario& scenario);

 private:
  std::string file_key(const std::string& path);

  std::mutex mutex_;
  std::map<std::string, std::string> files_;
};

}  // namespace v4cap
