using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using k8s;
using LrtMesh.TestKit;

namespace LrtMesh.Services.Tests.Telemetry;

/// <summary>What watches the mesh: the alert rules, the dashboard's panels and the runbook, as their files have them.</summary>
internal static partial class Watching
{
    /// <summary>Every alert's name, expression and annotations.</summary>
    public static IReadOnlyList<AlertRule> Alerts { get; } = [.. KubernetesYaml.Deserialize<RuleFile>(Read("k8s/components/telemetry/alerts.yaml")).Groups.SelectMany(group => group.Rules)];

    /// <summary>Every panel's title and expressions.</summary>
    public static IReadOnlyList<(string Title, string Expression)> Panels { get; } = [.. ReadPanels()];

    /// <summary>Titles of the runbook's sections.</summary>
    public static IReadOnlyList<string> Sections { get; } = [.. Section().Matches(Read("docs/runbook.md")).Select(section => section.Groups[1].Value)];

    /// <summary>The metrics that an expression reads, without the suffixes of a histogram's series.</summary>
    public static IEnumerable<string> MetricsOf(string expression) => Metric().Matches(Labels().Replace(expression, " ")).Select(metric => HistogramPart().Replace(metric.Value, ""));

    /// <summary>The labels that an expression matches or groups by.</summary>
    public static IEnumerable<string> LabelsOf(string expression) =>
        Matched().Matches(expression).Select(label => label.Groups[1].Value)
            .Concat(Grouped().Matches(expression).SelectMany(by => by.Groups[1].Value.Split(',', StringSplitOptions.TrimEntries)));

    private static string Read(string path) => File.ReadAllText(Path.Combine(RepositoryRoot.Find(), path));

    private static IEnumerable<(string Title, string Expression)> ReadPanels()
    {
        using var dashboard = JsonDocument.Parse(Read("k8s/components/telemetry/lrtmesh.json"));
        foreach (var panel in dashboard.RootElement.GetProperty("panels").EnumerateArray().Where(panel => panel.GetProperty("type").GetString() != "row"))
        {
            foreach (var target in panel.GetProperty("targets").EnumerateArray())
            {
                yield return (panel.GetProperty("title").GetString()!, target.GetProperty("expr").GetString()!);
            }
        }
    }

    [GeneratedRegex(@"\b(?:lrtmesh|gen_ai|rpc|db|dotnet|kestrel)_[a-z0-9_]+")]
    private static partial Regex Metric();

    [GeneratedRegex(@"\{[^}]*\}|\bby \([^)]*\)")]
    private static partial Regex Labels();

    [GeneratedRegex("_(bucket|sum|count)$")]
    private static partial Regex HistogramPart();

    [GeneratedRegex(@"([a-z_]+)(?:=~|!=|=)""")]
    private static partial Regex Matched();

    [GeneratedRegex(@"\bby \(([^)]*)\)")]
    private static partial Regex Grouped();

    [GeneratedRegex("^## (LrtMesh[A-Za-z]+)$", RegexOptions.Multiline)]
    private static partial Regex Section();

    internal sealed record AlertRule
    {
        [JsonPropertyName("alert")]
        public string Alert { get; init; } = "";

        [JsonPropertyName("expr")]
        public string Expr { get; init; } = "";

        [JsonPropertyName("annotations")]
        public Dictionary<string, string> Annotations { get; init; } = [];
    }

    internal sealed record RuleGroup
    {
        [JsonPropertyName("rules")]
        public List<AlertRule> Rules { get; init; } = [];
    }

    internal sealed record RuleFile
    {
        [JsonPropertyName("groups")]
        public List<RuleGroup> Groups { get; init; } = [];
    }
}
