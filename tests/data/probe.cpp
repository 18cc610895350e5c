// The sampler with a runtime that is none: cells are the noise times the energy, whatever the weights.
#include <iostream>

#include "caloforge/Toy.hpp"

struct Echo {
  using Shape = std::vector<std::int64_t>;
  Echo(const std::string&, const Shape& noise, const Shape& incident, const Shape& cells, int)
      : batch(noise[0]), n_noise(noise[1]), columns(incident[1]), n_cells(cells[1]),
        noise_(batch * n_noise), incident_(batch * columns), cells_(batch * n_cells) {}
  float* noise() { return noise_.data(); }
  float* incident() { return incident_.data(); }
  const float* cells() { return cells_.data(); }
  void run() {
    ++calls;
    for (std::int64_t i = 0; i < batch; ++i)
      for (std::int64_t j = 0; j < n_cells; ++j)
        cells_[i * n_cells + j] = noise_[i * n_noise + j % n_noise] * incident_[i * columns];
  }
  std::int64_t batch, n_noise, columns, n_cells;
  std::vector<float> noise_, incident_, cells_;
  static int calls;
};
int Echo::calls = 0;

using Bundle = caloforge::Toy;
using Sampler = caloforge::Sampler<Bundle, Echo>;

int main(int, char** words) {
  const std::string mode = words[2];
  if (mode == "places") {
    for (const auto& layer : Bundle::layers)
      for (std::size_t i = layer.first_cell; i < layer.first_cell + layer.count(); ++i) {
        const auto place = layer.centre(i);
        std::cout << place.x << ' ' << place.y << ' ' << place.z << '\n';
      }
    return 0;
  }
  if (mode == "normals") {
    caloforge::Normals normal(7);
    for (int i = 0; i < 50000; ++i) std::cout << normal() << '\n';
    return 0;
  }
  std::vector<caloforge::Particle> particles;
  // Streams read no "nan"; std::stod does.
  for (std::string pdg, e, theta, phi, x, y; std::cin >> pdg >> e >> theta >> phi >> x >> y;)
    particles.push_back({std::stoi(pdg), std::stod(e), std::stod(theta), std::stod(phi), std::stod(x), std::stod(y)});
  if (mode == "admits") {
    for (const auto& particle : particles) std::cout << Sampler::admits(particle) << '\n';
    return 0;
  }
  try {
    Sampler sampler(words[1], 3);
    float next = 0.0F;  // noise that counts: -1e-3 where a shower is to be impossible
    const float step = mode == "impossible" ? -1e-3F : 1e-3F;
    for (const float cell : sampler.generate(particles, [&] { return next += step; })) std::cout << cell << '\n';
    std::cerr << Echo::calls << '\n';
  } catch (const caloforge::OutOfRange& error) {
    std::cout << "OutOfRange " << error.what() << " after " << Echo::calls << " calls\n";
  } catch (const caloforge::BadGraph& error) {
    std::cout << "BadGraph " << error.what() << '\n';
  }
  return 0;
}
