// v4cap: what will this traffic cost on this hardware under this cache policy?
#include <unistd.h>

#include <iostream>
#include <string>
#include <vector>

#include "sim/app/command.h"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  return static_cast<int>(v4cap::run_program(
      arguments, std::cout, std::cerr, isatty(STDOUT_FILENO) == 1, isatty(STDERR_FILENO) == 1));
}
