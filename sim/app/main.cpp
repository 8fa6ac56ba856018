// v4cap: what will this traffic cost on this hardware under this cache policy?
#include "sim/app/interrupt.h"
#include "sim/app/v4cap_program.h"

int main(int argc, char** argv) {
  v4cap::answer_interrupts(v4cap::kV4cap.name, argc, argv);
  return v4cap::program_main(v4cap::kV4cap, argc, argv);
}
