// v4exec: DeepSeek-V4 on a live GPU. Its commands register themselves.
#include "exec/v4exec_program.h"

int main(int argc, char** argv) {
  return v4cap::program_main(v4cap::exec::kV4exec, argc, argv);
}
