// v4exec: DeepSeek-V4 on a live GPU. Its commands register themselves.
#include <unistd.h>

#include "exec/driver/gpu_calls.h"
#include "exec/v4exec_program.h"

int main(int argc, char** argv) {
  const int code = v4cap::program_main(v4cap::exec::kV4exec, argc, argv);
  // CUDA's clean-up would wait for a kernel that hangs; everything was flushed.
  if (v4cap::exec::gpu_is_lost()) _exit(code);
  return code;
}
