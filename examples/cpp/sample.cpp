// Samples from a kdiffusion file in C++, by docs/spec.md alone; ONNX Runtime and nlohmann/json.
//
//     apt-get install g++ libonnxruntime-dev nlohmann-json3-dev
//     g++ -std=c++17 -O2 sample.cpp -I/usr/include/onnxruntime -lonnxruntime -o sample
//     ./sample denoiser.onnx 8 7 ship.ppm       # the class 8 and the seed 7
//     ./sample --check ../../conformance/v1     # this port against the vectors
//
// Debian's ONNX Runtime writes `Schema error` lines when it starts; they are harmless.

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

using json = nlohmann::json;
using Image = std::vector<double>;
// The network: an image, a timestep, a label -> the prediction.
using Network = std::function<Image(const Image&, int, int)>;

// The noise of a seed: Philox4x64-10, 53 bits a word, Box-Muller.
class Noise {
 public:
  Noise(uint64_t seed, size_t size) : seed_(seed), size_(size) {}

  uint64_t word() {
    if (at_ % 4 == 0) block();
    return words_[at_++ % 4];
  }

  Image image() {
    Image z;
    while (z.size() < size_) {
      const double u = uniform(), v = uniform();
      const double radius = std::sqrt(-2 * std::log(1 - u)), angle = 2 * M_PI * v;
      z.push_back(radius * std::cos(angle));
      z.push_back(radius * std::sin(angle));
    }
    z.resize(size_);
    return z;
  }

 private:
  double uniform() { return std::ldexp(static_cast<double>(word() >> 11), -53); }

  void block() {
    uint64_t c[4] = {++count_, 0, 0, 0}, k = seed_, l = 0;
    for (int round = 0; round < 10; ++round) {
      const auto first = static_cast<unsigned __int128>(0xD2E7470EE14C6C93) * c[0];
      const auto second = static_cast<unsigned __int128>(0xCA5A826395121157) * c[2];
      const uint64_t next[4] = {static_cast<uint64_t>(second >> 64) ^ c[1] ^ k,
                                static_cast<uint64_t>(second),
                                static_cast<uint64_t>(first >> 64) ^ c[3] ^ l,
                                static_cast<uint64_t>(first)};
      std::copy(next, next + 4, c);
      k += 0x9E3779B97F4A7C15;
      l += 0xBB67AE8584CAA73B;
    }
    std::copy(c, c + 4, words_);
  }

  uint64_t seed_, count_ = 0, words_[4] = {};
  size_t size_, at_ = 0;
};

struct Card {
  explicit Card(const json& j)
      : shape(j.at("image_shape").get<std::vector<int64_t>>()),
        a(j.at("alphas_cumprod").get<std::vector<double>>()),
        prediction(j.at("prediction_type")),
        sampler(j.at("sampler")),
        spacing(j.value("spacing", "trailing")),
        steps(j.at("steps")),
        null_label(j.at("null_label")),
        w(j.at("guidance_strength")),
        clip(j.value("clip", true)),
        large(j.value("variance", "fixed_small") == "fixed_large") {
    if (j.at("format_version") != 1) throw std::runtime_error("the card has another version");
    if (prediction != "epsilon" && prediction != "x0" && prediction != "v")
      throw std::runtime_error("unknown prediction_type " + prediction);
    if (j.at("class_names").size() != static_cast<size_t>(null_label))
      throw std::runtime_error("null_label must be the number of classes");
    if (j.contains("guidance_interval") && !j["guidance_interval"].is_null()) {
      low = j["guidance_interval"][0];
      high = j["guidance_interval"][1];
    }
    if (j.contains("timesteps") && !j["timesteps"].is_null())
      timesteps = j["timesteps"].get<std::vector<int>>();
    else
      place();
    if (sampler == "fitted") coefficients = j.at("coefficients").get<std::vector<std::vector<double>>>();
  }

  size_t size() const { return shape[0] * shape[1] * shape[2]; }
  double abar(int t) const { return t < 0 ? 1.0 : a[t]; }
  double sigma(int t) const { return std::sqrt((1 - abar(t)) / abar(t)); }
  double lambda(int t) const { return std::log(abar(t) / (1 - abar(t))) / 2; }

  std::vector<int64_t> shape;
  std::vector<double> a;
  std::string prediction, sampler, spacing;
  std::vector<int> timesteps;
  std::vector<std::vector<double>> coefficients;
  int steps, null_label;
  double w, low = 0, high = INFINITY;
  bool clip, large;

 private:
  void place() {
    const int T = static_cast<int>(a.size());
    for (int k = 0; k < steps; ++k) {
      if (spacing == "leading")
        timesteps.push_back((steps - 1 - k) * (T / steps));
      else if (spacing == "trailing")  // std::nearbyint rounds half to even
        timesteps.push_back(std::nearbyint(k * (-static_cast<double>(T) / steps) + T - 1));
      else
        throw std::runtime_error("this port lacks the spacing " + spacing);
    }
  }
};

Image sum(double a, const Image& x, double b, const Image& y) {
  Image z(x.size());
  for (size_t i = 0; i < z.size(); ++i) z[i] = a * x[i] + b * y[i];
  return z;
}

struct Look {
  int t;
  Image x, x0;
};

class Sampler {
 public:
  // step(s, x0, x): called after each step, where x is at s.
  using Step = std::function<void(int, const Image&, const Image&)>;

  Sampler(const Card& card, Network network) : c_(card), network_(std::move(network)) {}

  Image sample(int label, uint64_t seed, const Step& step = nullptr) {
    if (label < 0 || label > c_.null_label) throw std::runtime_error("no such label");
    Noise noise(seed, c_.size());
    Image x = noise.image();
    std::vector<Look> history;
    for (size_t k = 0; k < c_.timesteps.size(); ++k) {
      const int t = c_.timesteps[k], s = k + 1 < c_.timesteps.size() ? c_.timesteps[k + 1] : -1;
      Look look{t, x, clean(x, t, label)};
      if (c_.sampler == "unipc" && !history.empty()) look.x = corrected(look, history);
      x = next(look, s, history, noise);
      history.push_back(look);
      if (s < 0) clip(x);
      if (step) step(s, look.x0, x);
    }
    return x;
  }

 private:
  Image clean(const Image& x, int t, int label) {
    Image p = network_(x, t, label);
    if (c_.w != 0 && label != c_.null_label && c_.low < c_.sigma(t) && c_.sigma(t) <= c_.high)
      p = guided(p, network_(x, t, c_.null_label));
    const double alpha = std::sqrt(c_.abar(t)), beta = std::sqrt(1 - c_.abar(t));
    if (c_.prediction == "epsilon") p = sum(1 / alpha, x, -beta / alpha, p);
    if (c_.prediction == "v") p = sum(alpha, x, -beta, p);
    clip(p);
    return p;
  }

  Image guided(Image p, const Image& unconditional) const {  // in float32
    const float towards = 1 + c_.w, away = c_.w;
    for (size_t i = 0; i < p.size(); ++i)
      p[i] = towards * static_cast<float>(p[i]) - away * static_cast<float>(unconditional[i]);
    return p;
  }

  void clip(Image& image) const {
    if (c_.clip)
      for (double& value : image) value = std::clamp(value, -1.0, 1.0);
  }

  Image next(const Look& look, int s, const std::vector<Look>& history, Noise& noise) {
    const int t = look.t;
    const bool is_ddpm = c_.sampler == "ddpm", is_sde = c_.sampler == "dpmpp_2m_sde";
    Image ahead = look.x0;
    const bool extrapolates = is_sde || c_.sampler == "dpmpp_2m" || c_.sampler == "unipc";
    if (extrapolates && !history.empty() && s >= 0) {
      const Look& before = history.back();
      const double ratio =
          (c_.lambda(s) - c_.lambda(t)) / (c_.lambda(t) - c_.lambda(before.t)) / 2;
      ahead = sum(1 + ratio, look.x0, -ratio, before.x0);
    }
    if (is_ddpm || is_sde) {
      const double b = 1 - c_.abar(t) / c_.abar(s), rest = 1 - c_.abar(t);
      Image x = sum(std::sqrt(c_.abar(s)) * b / rest, ahead,
                    std::sqrt(c_.abar(t) / c_.abar(s)) * (1 - c_.abar(s)) / rest, look.x);
      if (s < 0) return x;
      const double variance = is_ddpm && c_.large ? b : b * (1 - c_.abar(s)) / rest;
      return sum(1, x, std::sqrt(variance), noise.image());
    }
    Image x = first_order(look.x, ahead, t, s);
    if (c_.sampler == "fitted") {
      const auto& row = c_.coefficients[history.size()];
      x = sum(1, sum(1, x, row[0], look.x), row[1], look.x0);
      for (size_t back = 1; back <= std::min<size_t>(history.size(), 2); ++back)
        x = sum(1, x, row[1 + back], history[history.size() - back].x0);
    }
    return x;
  }

  Image first_order(const Image& x, const Image& x0, int t, int s) {
    const double ratio = std::sqrt((1 - c_.abar(s)) / (1 - c_.abar(t)));
    return sum(ratio, x, std::sqrt(c_.abar(s)) - ratio * std::sqrt(c_.abar(t)), x0);
  }

  // UniPC's corrector: to t once more, with what the network said there.
  Image corrected(const Look& look, const std::vector<Look>& history) {
    const Look& start = history.back();
    const Image change = sum(1, look.x0, -1, start.x0);
    if (history.size() == 1)
      return first_order(start.x, sum(1, start.x0, 0.5, change), start.t, look.t);
    const Look& before = history[history.size() - 2];
    const double h = c_.lambda(look.t) - c_.lambda(start.t);
    const double r = (c_.lambda(before.t) - c_.lambda(start.t)) / h;
    const double b = std::exp(-h) - 1, f = -b / h - 1, g = -f / h - 0.5;
    const double c = (f - 2 * g) / (b * (1 - r));
    const Image back = sum(c / r, sum(1, before.x0, -1, start.x0), f / b - c, change);
    return first_order(start.x, sum(1, start.x0, 1, back), start.t, look.t);
  }

  const Card& c_;
  Network network_;
};

std::vector<uint8_t> pixels(const Image& x) {
  std::vector<uint8_t> levels;
  for (double value : x) {
    const float scaled = (static_cast<float>(value) + 1.0f) * 127.5f;
    levels.push_back(static_cast<uint8_t>(std::clamp(std::nearbyint(scaled), 0.0f, 255.0f)));
  }
  return levels;
}

// A file in ONNX Runtime.
class File {
 public:
  explicit File(const std::string& path) : session_(env_, path.c_str(), Ort::SessionOptions()) {}

  Card card() {
    Ort::AllocatorWithDefaultOptions allocator;
    auto text = session_.GetModelMetadata().LookupCustomMetadataMapAllocated("kdiffusion.card",
                                                                             allocator);
    return Card(json::parse(text.get()));
  }

  Network network(const Card& card) {
    return [this, &card](const Image& x, int t, int label) {
      std::vector<float> image(x.begin(), x.end());
      int32_t timestep = t, label32 = label;
      const int64_t one = 1;
      std::vector<int64_t> shape{1};
      shape.insert(shape.end(), card.shape.begin(), card.shape.end());
      const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
      const Ort::Value inputs[] = {
          Ort::Value::CreateTensor(memory, image.data(), image.size(), shape.data(), shape.size()),
          Ort::Value::CreateTensor(memory, &timestep, 1, &one, 1),
          Ort::Value::CreateTensor(memory, &label32, 1, &one, 1)};
      const char* names[] = {"noisy_image", "timestep", "label"};
      const char* output = "prediction";
      auto result = session_.Run(Ort::RunOptions(), names, inputs, 3, &output, 1);
      const float* data = result[0].GetTensorData<float>();
      return Image(data, data + x.size());
    };
  }

 private:
  Ort::Env env_{ORT_LOGGING_LEVEL_ERROR};
  Ort::Session session_;
};

double difference(const Image& x, const json& wanted) {
  double most = x.size() == wanted.size() ? 0 : INFINITY;
  for (size_t i = 0; i < x.size() && i < wanted.size(); ++i)
    most = std::max(most, std::abs(x[i] - wanted[i].get<double>()));
  return most;
}

json read(const std::string& path) { return json::parse(std::ifstream(path)); }

// What differs from the vectors first, in words; empty where nothing does.
std::string check_traces(const json& cases) {
  for (const auto& item : cases) {
    const Card card(item.at("card"));
    size_t number = 0;
    std::string wrong;
    auto fail = [&](const std::string& what) {
      if (wrong.empty())
        wrong = item.at("name").get<std::string>() + ", step " + std::to_string(number) + ": " + what;
    };
    Network network = [&](const Image& x, int t, int label) {
      for (const auto& look : item.at("steps").at(number).at("looks"))
        if (look.at("t") == t && look.at("label") == label) {
          if (difference(x, look.at("x")) > 1e-5) fail("x before the network");
          return look.at("prediction").get<Image>();
        }
      fail("what the network is asked");
      return Image(x.size());
    };
    Sampler(card, network).sample(
        item.at("label"), std::stoull(item.at("seed").get<std::string>()),
        [&](int s, const Image& x0, const Image& x) {
          const auto& step = item.at("steps").at(number);
          if (step.at("s") != s) fail("s");
          if (!(difference(x0, step.at("x0")) <= 1e-5)) fail("x0");
          if (!(difference(x, step.at("x")) <= 1e-5)) fail("x");
          ++number;
        });
    if (!wrong.empty()) return wrong;
  }
  return "";
}

std::string check(const std::string& folder) {
  for (const auto& item : read(folder + "/noise.json")) {
    const auto& shape = item.at("image_shape");
    const size_t size = shape[0].get<size_t>() * shape[1].get<size_t>() * shape[2].get<size_t>();
    Noise noise(std::stoull(item.at("seed").get<std::string>()), size);
    for (const auto& draw : item.at("draws"))
      if (difference(noise.image(), draw) > 1e-12) return "noise of " + item.at("seed").dump();
  }
  const json rounding = read(folder + "/pixels.json")[0];
  if (pixels(rounding.at("x").get<Image>()) != rounding.at("pixels").get<std::vector<uint8_t>>())
    return "pixels";
  for (const auto& item : read(folder + "/cards.json")) {
    bool accepted = true;
    try {
      Card card(item.at("card"));
    } catch (const std::exception&) {
      accepted = false;
    }
    if (accepted != item.at("accepted")) return "card: " + item.at("name").get<std::string>();
  }
  if (auto wrong = check_traces(read(folder + "/traces.json")); !wrong.empty()) return wrong;
  for (const auto& item : read(folder + "/predictions.json")) {
    File file(folder + "/../../" + item.at("file").at("path").get<std::string>());
    const Card card = file.card();
    const auto images = item.at("noisy_image").get<Image>();
    Image all;
    for (size_t i = 0; i < item.at("label").size(); ++i) {
      const auto first = images.begin() + i * card.size();
      const Image one = file.network(card)(Image(first, first + card.size()),
                                           item.at("timestep")[i], item.at("label")[i]);
      all.insert(all.end(), one.begin(), one.end());
    }
    Image golden;
    for (size_t i = 0; i < all.size(); i += item.at("stride").get<size_t>()) golden.push_back(all[i]);
    if (difference(golden, item.at("prediction")) > 1e-3) return "golden predictions";
  }
  for (const auto& item : read(folder + "/images.json")) {
    File file(folder + "/../../" + item.at("file").at("path").get<std::string>());
    const Card card = file.card();
    const auto seed = std::stoull(item.at("seed").get<std::string>());
    const auto drawn = pixels(Sampler(card, file.network(card)).sample(item.at("label"), seed));
    const auto wanted = item.at("pixels").get<std::vector<int>>();
    for (size_t i = 0; i < drawn.size(); ++i)
      if (std::abs(drawn[i] - wanted.at(i)) > 1) return "the image of seed " + std::to_string(seed);
  }
  return "";
}

int main(int count, char** arguments) {
  if (count == 3 && std::string(arguments[1]) == "--check") {
    const std::string wrong = check(arguments[2]);
    std::cout << (wrong.empty() ? "agrees with the vectors" : "differs: " + wrong) << "\n";
    return wrong.empty() ? 0 : 1;
  }
  if (count != 5) {
    std::cerr << "usage: sample FILE LABEL SEED OUT.ppm | sample --check VECTORS\n";
    return 2;
  }
  File file(arguments[1]);
  const Card card = file.card();
  const auto image = pixels(Sampler(card, file.network(card))
                                .sample(std::stoi(arguments[2]), std::stoull(arguments[3])));
  std::ofstream out(arguments[4], std::ios::binary);
  const bool grey = card.shape[2] == 1;
  out << (grey ? "P5 " : "P6 ") << card.shape[1] << " " << card.shape[0] << " 255\n";
  out.write(reinterpret_cast<const char*>(image.data()), image.size());
}
