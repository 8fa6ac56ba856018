#include "sim/config/hardware_file.h"

#include "sim/config/data_files.h"

namespace v4cap {

namespace {

const std::vector<KeySpec>& gpu_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::string>("name", "as profiles name it: B200").must(),
      key<Bytes>("memory", "of one GPU").must(),
      key<BytesPerSecond>("memory_bandwidth", "peak").must(),
      key<FlopPerSecond>("bf16", "peak of dense BF16").must(),
      key<FlopPerSecond>("fp8", "peak of dense FP8").must(),
      key_or<FlopPerSecond>("fp4", "none", "peak of dense FP4; none: it has no FP4 units")};
  return keys;
}

const std::vector<KeySpec>& link_keys() {
  static const std::vector<KeySpec> keys = {
      key<BytesPerSecond>("bandwidth", "one direction, of each GPU").must(),
      key<Duration>("latency", "of a collective of few bytes").must()};
  return keys;
}

const std::vector<KeySpec>& efficiency_keys() {
  static const std::vector<KeySpec> keys = {
      key<double>("memory", "share of the peak memory bandwidth that operators reach")
          .within(0, 1)
          .must(),
      key<double>("compute", "share of the peak FLOP rate").within(0, 1).must(),
      key<double>("link", "share of the link's bandwidth").within(0, 1).must(),
      key<Duration>("fixed_per_operator", "time of every operator beside its work").must(),
      key<Duration>("fixed_per_step", "host time of every step").must()};
  return keys;
}

const std::vector<KeySpec>& reached_keys() {
  static const std::vector<KeySpec> keys = [] {
    std::vector<KeySpec> out;
    for (const auto& [name, what] :
         {std::pair{"matrix_product", "large FP8 matrix products"},
          {"index_scores", "index scores over a long context"},
          {"sparse_attention", "sparse attention in prefill"},
          {"hca_attention", "attention over HCA entries of a long context"}}) {
      out.push_back(key_or<double>(name, "none",
                                   std::string("share of the peak that is measured for ") + what)
                        .within(0, 1));
    }
    return out;
  }();
  return keys;
}

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

const std::vector<KeySpec>& hardware_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::string>("name", "of the node").must(),
      key<std::string>("provenance", "where its figures come from").must(),
      key<std::int64_t>("gpus_per_node", "GPUs of one node").within(1, 1024).must(),
      section_key("gpu", gpu_keys, "one GPU: memory and peak rates").must(),
      section_key("link", link_keys, "between GPUs of the node").must(),
      section_key("efficiency", efficiency_keys, "what of the peaks the roofline counts on").must(),
      section_key("reached", reached_keys,
                  "what large kernels reach: scales measured times to other GPUs"),
      list_key<std::string>("transfer_from", "GPUs whose profiles stand in, nearest first"),
      key<Bytes>("reserve", "what engines keep of each GPU for activations, graphs and buffers")};
  return keys;
}

[[maybe_unused]] const bool registered =
    FileKinds::add("hardware", {"a node: GPUs, links, peaks", hardware_keys});

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
  HardwareSpec hardware = read_hardware(document.root(hardware_keys));
  document.checkpoint();
  return hardware;
}

HardwareSpec load_hardware_of_gpu(const std::string& gpu, const std::string& scenario_dir,
                                  const Place& place) {
  std::vector<std::string> known;
  for (const std::string& name : data_names(DataKind::hardware, scenario_dir)) {
    const std::string path = find_data_file(DataKind::hardware, name, scenario_dir, place);
    Document document(parse_yaml(read_text_file(path), path), path);
    HardwareSpec hardware = read_hardware(document.root(hardware_keys));
    document.checkpoint();
    if (hardware.gpu.name == gpu) return hardware;
    known.push_back(hardware.gpu.name);
  }
  throw InputError(place, "expected a hardware file that describes the GPU " + gpu + ", got none" +
                              suggestion(gpu, known));
}

}  // namespace v4cap
