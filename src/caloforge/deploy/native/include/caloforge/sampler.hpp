// What the samplers of all caloforge bundles share: particles, range of validity, noise and cells.
//
// Units are MeV, mm and rad. +z points into the calorimeter, the origin is where the z axis meets its front
// face, and theta is the angle to +z (barrel: to the radius). C++17, no library but the standard one.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <limits>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace caloforge {

struct Particle {
  int pdg = 0;
  double energy = 0.0;  // kinetic, MeV
  double theta = 0.0;   // rad
  double phi = 0.0;     // rad
  double x = 0.0;       // impact point on the front face, mm
  double y = 0.0;       // mm
};

enum class Column { pdg, energy, theta, phi, x, y };

// One column of the particles of the training. `low` and `high` are what is let through: a little more than
// `min` and `max`, because the ends of a sample lie inside the range that it was drawn from.
struct Span {
  Column column;
  const char* name;
  const char* unit;
  double min, max, low, high;
};

enum class Grid { cartesian, polar, polygons };

struct Position {
  double x, y, z;  // mm
};

// One readout layer. Its cells are `first_cell + i * cells[1] + j`: (i, j) is (x, y) or (phi, r); polygons are
// numbered by i alone.
struct Layer {
  const char* name;
  int id;  // the experiment's number
  Grid grid;
  std::size_t first_cell;
  std::array<std::size_t, 2> cells;
  double start, thickness;        // depth, mm
  std::array<double, 2> size;     // of a cell in x and y, mm; of a sector in rad, and unused; polygons: unused
  const double* r_edges;          // polar: borders of the rings, mm
  const double* centres;          // polygons: x and y of each, mm

  constexpr std::size_t count() const { return cells[0] * cells[1]; }

  Position centre(std::size_t cell) const {
    const std::size_t i = (cell - first_cell) / cells[1], j = (cell - first_cell) % cells[1];
    const double z = start + thickness / 2, u = middle(i, 0);
    if (grid == Grid::polygons) return {centres[2 * i], centres[2 * i + 1], z};
    if (grid == Grid::cartesian) return {u, middle(j, 1), z};
    const double r = (r_edges[j] + r_edges[j + 1]) / 2;
    return {r * std::cos(u), r * std::sin(u), z};
  }

 private:
  // Both a window and the sectors lie symmetrically around 0.
  double middle(std::size_t i, std::size_t axis) const {
    return (static_cast<double>(i) + 0.5 - static_cast<double>(cells[axis]) / 2) * size[axis];
  }
};

// A particle that the generator was not trained for.
class OutOfRange : public std::domain_error {
  using std::domain_error::domain_error;
};

// The graph is missing, another one, or makes energies that are none.
class BadGraph : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Standard normal numbers, the same ones on every machine and with every compiler (std::normal_distribution
// is not): std::mt19937_64 and Marsaglia's polar method. They are not those of numpy or of caloforge's engine.
class Normals {
 public:
  explicit Normals(std::uint64_t seed) : bits_(seed) {}

  float operator()() {
    if (kept_) return kept_ = false, other_;
    double u, v, s;
    do {
      u = uniform(), v = uniform(), s = u * u + v * v;
    } while (s >= 1.0 || s == 0.0);
    const double scale = std::sqrt(-2.0 * std::log(s) / s);
    kept_ = true, other_ = static_cast<float>(v * scale);
    return static_cast<float>(u * scale);
  }

 private:
  double uniform() { return static_cast<double>(bits_() >> 11) * 0x1p-52 - 1.0; }

  std::mt19937_64 bits_;
  bool kept_ = false;
  float other_ = 0.0F;
};

inline double value_of(const Particle& particle, Column column) {
  switch (column) {
    case Column::pdg: return particle.pdg;
    case Column::energy: return particle.energy;
    case Column::theta: return particle.theta;
    case Column::phi: return particle.phi;
    case Column::x: return particle.x;
    case Column::y: return particle.y;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

// See that a file is the graph that a header was written for: no proof against malice, but against mix-ups.
inline void check_graph(const std::string& path, std::uint64_t bytes, std::uint32_t crc32) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw BadGraph("caloforge: cannot read " + path);
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    table[i] = i;
    for (int bit = 0; bit < 8; ++bit) table[i] = (table[i] >> 1) ^ (table[i] & 1U ? 0xEDB88320U : 0U);
  }
  std::vector<char> block(1 << 16);
  std::uint32_t crc = 0xFFFFFFFFU;
  std::uint64_t count = 0;
  while (file.read(block.data(), static_cast<std::streamsize>(block.size())) || file.gcount() > 0) {
    const auto got = static_cast<std::size_t>(file.gcount());
    for (std::size_t i = 0; i < got; ++i) {
      crc = (crc >> 8) ^ table[(crc ^ static_cast<unsigned char>(block[i])) & 0xFFU];
    }
    count += got;
  }
  if (count != bytes || ~crc != crc32) {
    throw BadGraph("caloforge: " + path + " is not the graph that this header was written for");
  }
}

// Makes showers. `Bundle` is a generated header's struct, `Runtime` is `OpenVino` or `OnnxRuntime`.
//
// A sampler belongs to one thread: each worker makes its own. `batch` is the number of showers in one call of
// the runtime; where the particles do not fill the last call, it is filled up and the rest is thrown away.
template <class Bundle, class Runtime>
class Sampler {
 public:
  explicit Sampler(const std::string& graph, std::size_t batch = 1, int threads = 1)
      : batch_(batch), runtime_((check_graph(graph, Bundle::graph_bytes, Bundle::graph_crc32), graph),
                                noise_shape(batch), {dim(batch), dim(Bundle::conditions.size())},
                                {dim(batch), dim(Bundle::n_cells)}, threads) {}

  // Whether the generator was trained for this particle: what a trigger asks.
  static bool admits(const Particle& particle) { return complaint(particle).empty(); }

  // Make one shower for each of `n` particles.
  //
  // `normal` is called for each number of noise, shower by shower, and returns standard normal numbers.
  // `cells` has room for `n * Bundle::n_cells` energies in MeV; those below the threshold are 0.
  // Throws OutOfRange before anything is made if one of the particles is outside the range.
  template <class Normal>
  void generate(const Particle* particles, std::size_t n, Normal&& normal, float* cells) {
    in_calls(particles, n, cells, [&](float* noise, std::size_t, std::size_t showers) {
      for (std::size_t i = 0; i < showers * Bundle::n_noise; ++i) noise[i] = static_cast<float>(normal());
    });
  }

  template <class Normal>
  std::vector<float> generate(const std::vector<Particle>& particles, Normal&& normal) {
    std::vector<float> cells(particles.size() * Bundle::n_cells);
    generate(particles.data(), particles.size(), std::forward<Normal>(normal), cells.data());
    return cells;
  }

  // The same with noise that is given, `n * Bundle::n_noise` standard normal numbers.
  void run(const Particle* particles, std::size_t n, const float* noise, float* cells) {
    in_calls(particles, n, cells, [&](float* bound, std::size_t first, std::size_t showers) {
      const float* mine = noise + first * Bundle::n_noise;
      std::copy(mine, mine + showers * Bundle::n_noise, bound);
    });
  }

 private:
  static std::int64_t dim(std::size_t size) { return static_cast<std::int64_t>(size); }

  static std::vector<std::int64_t> noise_shape(std::size_t batch) {
    std::vector<std::int64_t> shape{dim(batch)};
    for (const std::size_t size : Bundle::noise_shape) shape.push_back(dim(size));
    return shape;
  }

  template <class Draw>
  void in_calls(const Particle* particles, std::size_t n, float* cells, Draw&& draw) {
    for (std::size_t i = 0; i < n; ++i) {
      const std::string wrong = complaint(particles[i]);
      if (!wrong.empty()) throw OutOfRange(wrong);
    }
    for (std::size_t first = 0; first < n; first += batch_) {
      const std::size_t showers = n - first < batch_ ? n - first : batch_;
      draw(runtime_.noise(), first, showers);
      fill(particles + first, showers);
      runtime_.run();
      keep(runtime_.cells(), showers * Bundle::n_cells, cells + first * Bundle::n_cells);
    }
  }

  void fill(const Particle* particles, std::size_t showers) {
    float* incident = runtime_.incident();
    for (std::size_t i = 0; i < batch_; ++i) {
      const Particle& particle = particles[i < showers ? i : showers - 1];
      for (const Column column : Bundle::conditions) *incident++ = static_cast<float>(value_of(particle, column));
    }
  }

  static void keep(const float* made, std::size_t count, float* cells) {
    bool sound = true;
    for (std::size_t i = 0; i < count; ++i) {
      sound &= made[i] >= 0.0F && made[i] < std::numeric_limits<float>::infinity();
      cells[i] = made[i] < Bundle::threshold ? 0.0F : made[i];
    }
    if (!sound) throw BadGraph(std::string("caloforge: ") + Bundle::name + " gives impossible energies");
  }

  static std::string complaint(const Particle& particle) {
    bool known = false;
    for (const int pdg : Bundle::particles) known |= pdg == 0 || pdg == particle.pdg;
    if (!known) return refusal("particle " + std::to_string(particle.pdg), Bundle::particle_names);
    for (const Span& span : Bundle::spans) {
      const double value = value_of(particle, span.column);
      // Written so that NaN lies outside, too.
      if (!(value >= span.low && value <= span.high)) {
        std::ostringstream got, expected;
        got << span.name << ' ' << value << ' ' << span.unit;
        expected << span.min << " to " << span.max << ' ' << span.unit;
        return refusal(got.str(), expected.str());
      }
    }
    return {};
  }

  static std::string refusal(const std::string& got, const std::string& expected) {
    return std::string("caloforge: ") + Bundle::name + " was not trained for " + got + ", but for " + expected;
  }

  std::size_t batch_;
  Runtime runtime_;
};

}  // namespace caloforge
