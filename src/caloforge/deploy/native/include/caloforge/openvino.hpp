// Runs a bundle's graph with OpenVINO: one fixed batch, tensors bound once, energies in float32.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <openvino/openvino.hpp>

namespace caloforge {

class OpenVino {
 public:
  using Shape = std::vector<std::int64_t>;

  OpenVino(const std::string& graph, const Shape& noise, const Shape& incident, const Shape& cells, int threads)
      : noise_(tensor(noise)), incident_(tensor(incident)), cells_(tensor(cells)) {
    ov::Core core;
    const auto model = core.read_model(graph);
    model->reshape({{"noise", ov::PartialShape(noise)}, {"incident", ov::PartialShape(incident)}});
    // Where the processor has bfloat16, OpenVINO takes it unasked, and energies are off by parts in 1000.
    request_ = core.compile_model(model, "CPU", ov::inference_num_threads(threads), ov::num_streams(1),
                                  ov::hint::inference_precision(ov::element::f32))
                   .create_infer_request();
    request_.set_tensor("noise", noise_);
    request_.set_tensor("incident", incident_);
    request_.set_tensor("cells", cells_);
  }

  float* noise() { return noise_.data<float>(); }
  float* incident() { return incident_.data<float>(); }
  const float* cells() { return cells_.data<float>(); }
  void run() { request_.infer(); }

 private:
  static ov::Tensor tensor(const Shape& shape) { return {ov::element::f32, ov::Shape(shape.begin(), shape.end())}; }

  ov::Tensor noise_, incident_, cells_;
  ov::InferRequest request_;
};

}  // namespace caloforge
