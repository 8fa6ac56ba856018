#include "sim/config/hardware_file.h"

#include "sim/config/data_files.h"

namespace v4cap {

namespace {

GpuSpec read_gpu(Section section) {
  const auto flops = above(FlopPerSecond{0});
  GpuSpec gpu;
  gpu.name = section.required<std::string>("name");
  gpu.memory = section.required<Bytes>("memory", above(Bytes{0}));
  gpu.memory_bytes_per_s_peak =
      section.required<BytesPerSecond>("memory_bandwidth", above(BytesPerSecond{0})).value;
  gpu.flop_per_s_peak_bf16 = section.required<FlopPerSecond>("bf16", flops).value;
  gpu.flop_per_s_peak_fp8 = section.required<FlopPerSecond>("fp8", flops).value;
  gpu.flop_per_s_peak_fp4 =
      section.optional_or<FlopPerSecond>("fp4", "none", flops).value_or(FlopPerSecond{0}).value;
  section.reject_unknown();
  return gpu;
}

RooflineEfficiency read_efficiency(Section section) {
  const auto fraction = above_up_to(0.0, 1.0);
  RooflineEfficiency e;
  e.memory = section.required<double>("memory", fraction);
  e.compute = section.required<double>("compute", fraction);
  e.link = section.required<double>("link", fraction);
  e.fixed_per_operator = section.required<Duration>("fixed_per_operator");
  e.fixed_per_step = section.required<Duration>("fixed_per_step");
  section.reject_unknown();
  return e;
}

ReachedFractions read_reached(Section section) {
  const auto fraction = above_up_to(0.0, 1.0);
  ReachedFractions r;
  const auto read = [&](const char* key) {
    return section.optional_or<double>(key, "none", fraction).value_or(0);
  };
  r.matrix_product = read("matrix_product");
  r.index_scores = read("index_scores");
  r.sparse_attention = read("sparse_attention");
  r.hca_attention = read("hca_attention");
  section.reject_unknown();
  return r;
}

}  // namespace

HardwareSpec read_hardware(Section section) {
  HardwareSpec h;
  h.name = section.required<std::string>("name");
  h.provenance = section.required<std::string>("provenance");
  h.gpus_per_node = section.required<std::int64_t>("gpus_per_node", between<std::int64_t>(1, 1024));
  h.gpu = read_gpu(section.child("gpu", true));
  Section link = section.child("link", true);
  h.link_bytes_per_s_peak =
      link.required<BytesPerSecond>("bandwidth", above(BytesPerSecond{0})).value;
  h.link_latency = link.required<Duration>("latency");
  link.reject_unknown();
  h.efficiency = read_efficiency(section.child("efficiency", true));
  h.reached = read_reached(section.child("reached"));
  if (section.has("transfer_from")) {
    h.transfer_from = section.required_list<std::string>("transfer_from");
  }
  h.reserve = section.optional<Bytes>("reserve", Bytes{0});
  section.reject_unknown();
  if (h.reserve >= h.gpu.memory) {
    section.error("reserve",
                  "expected less than the GPU's memory (" + value_text(h.gpu.memory) + ")");
  }
  return h;
}

HardwareSpec load_hardware(const std::string& name_or_path) {
  const std::string path = find_data_file(DataKind::hardware, name_or_path, "", Place{});
  Document document(parse_yaml(read_text_file(path), path), path);
  HardwareSpec hardware = read_hardware(document.root());
  document.checkpoint();
  return hardware;
}

HardwareSpec load_hardware_of_gpu(const std::string& gpu, const std::string& scenario_dir,
                                  const Place& place) {
  for (const std::string& name : data_names(DataKind::hardware, scenario_dir)) {
    const std::string path = find_data_file(DataKind::hardware, name, scenario_dir, place);
    Document document(parse_yaml(read_text_file(path), path), path);
    HardwareSpec hardware = read_hardware(document.root());
    document.checkpoint();
    if (hardware.gpu.name == gpu) return hardware;
  }
  throw InputError(place, "expected a hardware file that describes the GPU " + gpu + ", got none");
}

}  // namespace v4cap
