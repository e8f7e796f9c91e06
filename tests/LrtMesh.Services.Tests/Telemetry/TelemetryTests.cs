using System.Diagnostics;
using System.Text.Json;
using System.Text.RegularExpressions;
using LrtMesh.TestKit;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Services.Tests.Telemetry;

/// <summary>What the roles tell of work that was done.</summary>
public sealed partial class TelemetryTests(ObservedMesh mesh) : IClassFixture<ObservedMesh>, IAsyncLifetime
{
    public ValueTask InitializeAsync()
    {
        Assert.SkipWhen(mesh.Missing is not null, mesh.Missing ?? "");
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    [Fact]
    public async Task A_job_is_one_trace_through_all_roles_from_the_call_that_created_it()
    {
        var trace = mesh.Traces["job"];
        Assert.Contains(trace, mesh.Job.TraceParent, StringComparison.Ordinal);
        var spans = await SpansAsync(trace, spans => spans.Any(span => span.Name == "map job")
            && ObservedMesh.Roles.All(role => spans.Any(span => span.Service == $"lrtmesh-{role}" && span.Name.EndsWith("ExtractionService/ExtractHiddenStates", StringComparison.Ordinal))));

        var create = Assert.Single(spans, span => span.Name.EndsWith("CreateMapJob", StringComparison.Ordinal));
        var job = Assert.Single(spans, span => span.Name == "map job");
        Assert.Equal(("lrtmesh-mapping", create.SpanId), (job.Service, job.Parent));
        var moments = Assert.Single(spans, span => span.Name == "moments");
        Assert.Equal(job.SpanId, moments.Parent);
        Assert.Equal(job.SpanId, Assert.Single(spans, span => span.Name == "map fit").Parent);
        // Moments → the mapping role's call → the other role's answer.
        foreach (var role in new[] { "extraction", "generation" })
        {
            var answer = Assert.Single(spans, span => span.Service == $"lrtmesh-{role}" && span.Name.EndsWith("ExtractHiddenStates", StringComparison.Ordinal));
            var call = Assert.Single(spans, span => span.SpanId == answer.Parent);
            Assert.Equal(("lrtmesh-mapping", moments.SpanId), (call.Service, call.Parent));
        }
    }

    [Fact]
    public async Task A_generation_shows_its_wait_its_prompt_and_its_tokens()
    {
        var spans = await SpansAsync(mesh.Traces["generate"], spans => spans.Count >= 4);
        var call = Assert.Single(spans, span => span.Name.EndsWith("GenerationService/Generate", StringComparison.Ordinal));
        Assert.Equal(["decode", "prefill", "queue"], spans.Where(span => span.Parent == call.SpanId).Select(span => span.Name).Order());
        Assert.All(spans, span => Assert.Equal("lrtmesh-generation", span.Service));
    }

    [Fact]
    public async Task Counts_are_of_the_work_that_was_done()
    {
        var generation = await mesh.ScrapeAsync("generation");
        const string model = "gen_ai_request_model=\"target\"";
        Assert.Equal(16, Sum(generation, "lrtmesh_generation_generated_tokens_total", model));
        Assert.Equal(2 * mesh.Answer.Started.PromptTokens, Sum(generation, "lrtmesh_generation_prompt_tokens_total", model));
        // The second answer's prompt was held but for its last token, which is read like a generated one.
        Assert.Equal(mesh.Answer.Started.PromptTokens - 1, Sum(generation, "lrtmesh_prefix_cache_tokens_total", model, "\"hit\""));
        Assert.Equal(2 * Assert.Single(mesh.Answer.Finished.Steering).Positions, Sum(generation, "lrtmesh_generation_steered_tokens_total", model));
        Assert.Equal(1, Sum(generation, "lrtmesh_mapped_vectors_lookups_total", "\"hit\""));
        Assert.Equal(1, Sum(generation, "lrtmesh_mapped_vectors_lookups_total", "\"miss\""));
        foreach (var name in new[] { "request_duration", "time_to_first_token", "time_per_output_token" })
        {
            Assert.Equal(2, Sum(generation, $"gen_ai_server_{name}_seconds_count", model, "gen_ai_operation_name=\"text_completion\""));
        }

        Assert.Equal(2, Sum(generation, "rpc_server_call_duration_seconds_count", "GenerationService/Generate\"", "\"OK\""));
        var mapping = await mesh.ScrapeAsync("mapping");
        Assert.Equal(mesh.Job.Rows, Sum(mapping, "lrtmesh_moments_rows_total"));
        Assert.Equal(1, Sum(mapping, "lrtmesh_map_r2_count", "\"false\""));
        Assert.Equal(1, Sum(mapping, "lrtmesh_map_r2_count", "\"true\""));
        Assert.Equal(mesh.Job.Result.Metrics.R2, Sum(mapping, "lrtmesh_map_r2_sum", "\"false\""), 1e-6);
        Assert.Equal(1, Sum(mapping, "lrtmesh_job_duration_seconds_count", $"\"{JobState.Succeeded}\""));
        Assert.Equal(0, Sum(mapping, "lrtmesh_jobs_running"));
        Assert.Equal(1, Sum(mapping, "rpc_server_call_duration_seconds_count", "MappingService/GetMap\"", "\"NOT_FOUND\""));
        // What one role sends in chunks the other receives.
        var sent = Sum(generation, "lrtmesh_tensor_bytes_total", "\"transmit\"") + Sum(await mesh.ScrapeAsync("extraction"), "lrtmesh_tensor_bytes_total", "\"transmit\"");
        Assert.True(sent > 0);
        Assert.Equal(sent, Sum(mapping, "lrtmesh_tensor_bytes_total", "\"receive\""));
    }

    [Fact]
    public async Task The_page_lists_what_there_is_and_where()
    {
        var page = await File.ReadAllTextAsync(Path.Combine(RepositoryRoot.Find(), "docs/telemetry.md"), TestContext.Current.CancellationToken);
        var listed = ListedMetric().Matches(page).ToDictionary(row => row.Groups[1].Value, row => row.Groups[2].Value);
        foreach (var role in ObservedMesh.Roles)
        {
            var exported = await mesh.MetricsAsync(role);
            Assert.Equal(listed.Where(metric => metric.Value == "all" || metric.Value.Contains(role, StringComparison.Ordinal)).Select(metric => metric.Key).Order(), exported.Order());
        }
    }

    [Fact]
    public async Task What_the_dashboard_and_the_alerts_read_is_exported()
    {
        var exported = new HashSet<string>(StringComparer.Ordinal);
        var labels = new HashSet<string>(["le", "job", "pod"], StringComparer.Ordinal); // of Prometheus itself
        foreach (var role in ObservedMesh.Roles)
        {
            exported.UnionWith((await mesh.ScrapeAsync(role)).Select(sample => Watching.MetricsOf(sample.Series.Split('{')[0]).FirstOrDefault("")));
            labels.UnionWith((await mesh.ScrapeAsync(role)).SelectMany(sample => Watching.LabelsOf(sample.Series)));
        }

        string[] expressions = [.. Watching.Panels.Select(panel => panel.Expression), .. Watching.Alerts.Select(alert => alert.Expr)];
        Assert.InRange(expressions.Length, 50, 100);
        Assert.All(expressions, expression =>
        {
            var metrics = Watching.MetricsOf(expression).ToArray();
            Assert.True(metrics.Length > 0 || expression.StartsWith("up{", StringComparison.Ordinal), $"{expression} reads nothing");
            Assert.All(metrics, metric => Assert.Contains(metric, exported));
            Assert.All(Watching.LabelsOf(expression), label => Assert.Contains(label, labels));
        });
        // And the other way round: what only the mesh has is on the dashboard.
        var shown = Watching.Panels.SelectMany(panel => Watching.MetricsOf(panel.Expression)).ToHashSet();
        Assert.Empty(exported.Where(metric => metric.StartsWith("lrtmesh_", StringComparison.Ordinal) || metric.StartsWith("gen_ai_", StringComparison.Ordinal)).Except(shown));
    }

    [Fact]
    public void Each_alert_has_a_section_of_the_runbook_and_each_section_an_alert()
    {
        Assert.Equal(Watching.Alerts.Select(alert => alert.Alert), Watching.Sections);
        Assert.All(Watching.Alerts, alert => Assert.Equal($"docs/runbook.md#{alert.Alert.ToLowerInvariant()}", alert.Annotations["runbook"]));
    }

    [Fact]
    public async Task No_label_has_a_value_that_a_client_chose()
    {
        foreach (var role in ObservedMesh.Roles)
        {
            var series = (await mesh.ScrapeAsync(role)).Select(sample => sample.Series).ToArray();
            Assert.DoesNotContain(series, one => one.Contains("\"v\"", StringComparison.Ordinal) || one.Contains("\"m\"", StringComparison.Ordinal) || one.Contains("nothing", StringComparison.Ordinal));
            Assert.InRange(series.Length, 50, 2000);
        }
    }

    [Fact]
    public void A_log_line_is_an_object_that_knows_its_trace()
    {
        foreach (var line in mesh.Logs.Values.SelectMany(lines => lines))
        {
            using var entry = JsonDocument.Parse(line);
            foreach (var field in new[] { "timestamp", "level", "category", "event_id", "message", "fields" })
            {
                Assert.True(entry.RootElement.TryGetProperty(field, out _), $"no {field} in {line}");
            }
        }

        var taken = Assert.Single(mesh.Logs["mapping"], line => line.Contains("is taken up", StringComparison.Ordinal));
        using var job = JsonDocument.Parse(taken);
        Assert.Equal(mesh.Traces["job"], job.RootElement.GetProperty("trace_id").GetString());
        Assert.Equal(16, job.RootElement.GetProperty("span_id").GetString()!.Length);
        Assert.Equal(mesh.Job.Id, job.RootElement.GetProperty("fields").GetProperty("Job").GetString());
        Assert.Equal("information", job.RootElement.GetProperty("level").GetString());
    }

    [Fact]
    public async Task All_signals_of_all_roles_reach_the_collector_by_HTTP_and_by_gRPC_with_TLS_and_without()
    {
        ReceivedSignal[] due = [.. from role in ObservedMesh.Roles from signal in new[] { "logs", "metrics", "traces" } select new ReceivedSignal($"lrtmesh-{role}", signal, ObservedMesh.Ways[role])];
        for (var clock = Stopwatch.StartNew(); clock.Elapsed < TimeSpan.FromSeconds(15) && !IsWhole();)
        {
            await Task.Delay(100, TestContext.Current.CancellationToken);
        }

        Assert.Equal(due, mesh.Collector.Signals.OrderBy(signal => (signal.Service, signal.Signal)));
        Assert.All(ObservedMesh.Roles, role => Assert.Contains(($"lrtmesh-{role}", "rpc.server.call.duration"), mesh.Collector.Metrics));
        // A log record knows its trace, as its line does.
        Assert.Contains(("lrtmesh-mapping", mesh.Traces["job"]), mesh.Collector.Logs);

        bool IsWhole() => due.All(mesh.Collector.Signals.Contains) && ObservedMesh.Roles.All(role => mesh.Collector.Metrics.Contains(($"lrtmesh-{role}", "rpc.server.call.duration")));
    }

    private async Task<IReadOnlyList<ReceivedSpan>> SpansAsync(string trace, Predicate<IReadOnlyList<ReceivedSpan>> isWhole)
    {
        for (var clock = Stopwatch.StartNew(); ; await Task.Delay(100, TestContext.Current.CancellationToken))
        {
            ReceivedSpan[] spans = [.. mesh.Collector.Spans.Where(span => span.TraceId == trace)];
            if (isWhole(spans) || clock.Elapsed > TimeSpan.FromSeconds(15))
            {
                return spans;
            }
        }
    }

    // | `NAME` | roles | …
    [GeneratedRegex(@"^\| `([a-z0-9_]+)` \| ([a-z, ]+) \|", RegexOptions.Multiline)]
    private static partial Regex ListedMetric();

    private static double Sum(IEnumerable<(string Series, double Value)> samples, string name, params string[] labels) => samples
        .Where(sample => (sample.Series == name || sample.Series.StartsWith(name + "{", StringComparison.Ordinal)) && labels.All(label => sample.Series.Contains(label, StringComparison.Ordinal)))
        .Sum(sample => sample.Value);
}
