internal import Bytes

/// What `/metrics` shows beside the statistics, under the names of vLLM.
internal struct EngineMeters {
    var firstToken = SimpleHistogram(
        bounds: [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80])
    var interToken = SimpleHistogram(
        bounds: [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80])
    var whole = SimpleHistogram(bounds: [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480])
    var queue = SimpleHistogram(bounds: [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480])
    var finishedByStop = 0
    var finishedByLength = 0
    var finishedByAbort = 0
}

/// A cumulative histogram.
internal struct SimpleHistogram {
    let bounds: [Double]
    private var counts: [Int]
    private var sum = 0.0

    init(bounds: [Double]) {
        self.bounds = bounds
        counts = Array(repeating: 0, count: bounds.count + 1)
    }

    /// Takes a value in.
    mutating func record(nanos: Int64) {
        let seconds = Double(nanos) / 1e9
        counts[bounds.firstIndex { seconds <= $0 } ?? bounds.count] += 1
        sum += seconds
    }

    /// Appends the samples.
    func write(_ name: String, labels: String, into text: inout String) {
        text += "# TYPE \(name) histogram\n"
        var total = 0
        for (index, count) in counts.enumerated() {
            total += count
            let bound = index < bounds.count ? "\(bounds[index])" : "+Inf"
            text += "\(name)_bucket{\(labels),le=\"\(bound)\"} \(total)\n"
        }
        text += "\(name)_sum{\(labels)} \(sum)\n\(name)_count{\(labels)} \(total)\n"
    }
}

extension SimulatorService {
    /// The exposition in Prometheus' text form.
    func metricsText() -> String {
        let now = currentStatistics
        let model = settings.models.first ?? ""
        let labels = "engine=\"0\",model_name=\"\(escaped(label: model))\""
        var text = ""
        func metric(_ name: String, _ kind: String, _ value: some CustomStringConvertible) {
            text += "# TYPE \(name) \(kind)\n\(name){\(labels)} \(value)\n"
        }
        metric("vllm:num_requests_running", "gauge", now.running)
        metric("vllm:num_requests_waiting", "gauge", now.waiting)
        let cached = Double(capacity.runningTokens) / Double(max(1, settings.capacity.cacheTokens))
        metric("vllm:kv_cache_usage_perc", "gauge", min(1, cached))
        metric("vllm:prefix_cache_queries_total", "counter", now.promptTokens)
        metric("vllm:prefix_cache_hits_total", "counter", 0)
        metric("vllm:prompt_tokens_total", "counter", now.promptTokens)
        metric("vllm:generation_tokens_total", "counter", now.generatedTokens)
        metric("vllm:num_preemptions_total", "counter", 0)
        text += "# TYPE vllm:request_success_total counter\n"
        let reasons = [
            ("stop", meters.finishedByStop), ("length", meters.finishedByLength), ("abort", meters.finishedByAbort),
        ]
        for (reason, count) in reasons {
            text += "vllm:request_success_total{\(labels),finished_reason=\"\(reason)\"} \(count)\n"
        }
        meters.firstToken.write("vllm:time_to_first_token_seconds", labels: labels, into: &text)
        meters.interToken.write("vllm:inter_token_latency_seconds", labels: labels, into: &text)
        meters.whole.write("vllm:e2e_request_latency_seconds", labels: labels, into: &text)
        meters.queue.write("vllm:request_queue_time_seconds", labels: labels, into: &text)
        text += "# TYPE vllm:cache_config_info gauge\n"
        let blocks = settings.capacity.cacheTokens / 16
        text += "vllm:cache_config_info{\(labels),block_size=\"16\",num_gpu_blocks=\"\(blocks)\"} 1\n"
        return text
    }

    private func escaped(label: String) -> String {
        var text = ""
        for character in label {
            switch character {
            case "\\": text += "\\\\"
            case "\"": text += "\\\""
            case "\n": text += "\\n"
            default: text.append(character)
            }
        }
        return text
    }
}
