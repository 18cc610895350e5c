// Runs a bundle's graph with ONNX Runtime's C interface: tensors bound once, threads that do not spin.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include <onnxruntime_c_api.h>

namespace caloforge {

class OnnxRuntime {
 public:
  using Shape = std::vector<std::int64_t>;

  OnnxRuntime(const std::string& graph, const Shape& noise, const Shape& incident, const Shape& cells, int threads)
      : noise_(count(noise)), incident_(count(incident)), cells_(count(cells)) {
    environment_ = made<OrtEnv>(api().ReleaseEnv, [](OrtEnv** env) {
      return api().CreateEnv(ORT_LOGGING_LEVEL_ERROR, "caloforge", env);
    });
    const auto options = made<OrtSessionOptions>(api().ReleaseSessionOptions, api().CreateSessionOptions);
    check(api().SetIntraOpNumThreads(options.get(), threads));
    check(api().SetInterOpNumThreads(options.get(), 1));
    // Threads that spin between two calls take the cores from the simulation that calls.
    check(api().AddSessionConfigEntry(options.get(), "session.intra_op.allow_spinning", "0"));
    const std::filesystem::path path(graph);
    session_ = made<OrtSession>(api().ReleaseSession, [&](OrtSession** session) {
      return api().CreateSession(environment_.get(), path.c_str(), options.get(), session);
    });
    values_[0] = bound(noise_, noise);
    values_[1] = bound(incident_, incident);
    values_[2] = bound(cells_, cells);
  }

  float* noise() { return noise_.data(); }
  float* incident() { return incident_.data(); }
  const float* cells() { return cells_.data(); }

  void run() {
    static const char* const inputs[] = {"noise", "incident"};
    static const char* const outputs[] = {"cells"};
    const OrtValue* given[] = {values_[0].get(), values_[1].get()};
    OrtValue* result = values_[2].get();
    check(api().Run(session_.get(), nullptr, inputs, given, 2, outputs, 1, &result));
  }

 private:
  template <class T>
  using Held = std::unique_ptr<T, std::function<void(T*)>>;

  static const OrtApi& api() {
    static const OrtApi* const found = OrtGetApiBase()->GetApi(ORT_API_VERSION);
    if (found == nullptr) throw std::runtime_error("caloforge: the library of ONNX Runtime is older than its header");
    return *found;
  }

  static void check(OrtStatus* status) {
    if (status == nullptr) return;
    const std::string text = api().GetErrorMessage(status);
    api().ReleaseStatus(status);
    throw std::runtime_error("ONNX Runtime: " + text);
  }

  template <class T, class Release, class Make>
  static Held<T> made(Release release, Make&& make) {
    T* raw = nullptr;
    check(make(&raw));
    return Held<T>(raw, release);
  }

  static std::size_t count(const Shape& shape) {
    return static_cast<std::size_t>(
        std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>()));
  }

  static Held<OrtValue> bound(std::vector<float>& data, const Shape& shape) {
    const auto memory = made<OrtMemoryInfo>(api().ReleaseMemoryInfo, [](OrtMemoryInfo** info) {
      return api().CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, info);
    });
    return made<OrtValue>(api().ReleaseValue, [&](OrtValue** value) {
      return api().CreateTensorWithDataAsOrtValue(memory.get(), data.data(), data.size() * sizeof(float),
                                                  shape.data(), shape.size(), ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
                                                  value);
    });
  }

  std::vector<float> noise_, incident_, cells_;
  Held<OrtEnv> environment_;
  Held<OrtSession> session_;
  std::array<Held<OrtValue>, 3> values_;
};

}  // namespace caloforge
