using k8s.Models;

namespace LrtMesh.Services.Tests.Deployment;

/// <summary>What network policies allow between two pods of the mesh's namespace, by the rules of Kubernetes.</summary>
internal sealed class NetworkRules(IEnumerable<V1NetworkPolicy> policies)
{
    private readonly V1NetworkPolicy[] _policies = [.. policies];

    /// <summary>Whether one pod may open a connection to another.</summary>
    public bool Allow(IDictionary<string, string> from, IDictionary<string, string> to, int port) =>
        Allow("Egress", from, policy => (policy.Spec.Egress ?? []).Any(rule => Has(rule.To, to) && Has(rule.Ports, port)))
        && Allow("Ingress", to, policy => (policy.Spec.Ingress ?? []).Any(rule => Has(rule.FromProperty, from) && Has(rule.Ports, port)));

    /// <summary>Whether any pod of another namespace, which has these labels, may open a connection to a pod.</summary>
    public bool AllowNamespace(IDictionary<string, string> from, IDictionary<string, string> to, int port) =>
        Allow("Ingress", to, policy => (policy.Spec.Ingress ?? []).Any(rule =>
            Has(rule.Ports, port) && (rule.FromProperty is null || rule.FromProperty.Any(peer => peer.NamespaceSelector is { } space && peer.PodSelector is null && Selects(space, from)))));

    // A pod that no policy of a direction selects is free in it; one that some select may do what any of them allows.
    private bool Allow(string direction, IDictionary<string, string> pod, Func<V1NetworkPolicy, bool> allows)
    {
        var selecting = _policies.Where(policy => policy.Spec.PolicyTypes.Contains(direction) && Selects(policy.Spec.PodSelector, pod)).ToArray();
        return selecting.Length == 0 || selecting.Any(allows);
    }

    private static bool Has(IList<V1NetworkPolicyPeer>? peers, IDictionary<string, string> pod) =>
        peers is null || peers.Any(peer => peer.IpBlock is null && peer.NamespaceSelector is null && Selects(peer.PodSelector, pod));

    private static bool Has(IList<V1NetworkPolicyPort>? ports, int port) =>
        ports is null || ports.Any(allowed => allowed.Protocol is null or "TCP" && allowed.Port == port.ToString(System.Globalization.CultureInfo.InvariantCulture));

    private static bool Selects(V1LabelSelector selector, IDictionary<string, string> pod) =>
        (selector.MatchLabels ?? new Dictionary<string, string>()).All(label => pod.TryGetValue(label.Key, out var value) && value == label.Value)
        && (selector.MatchExpressions ?? []).All(expression => expression.OperatorProperty switch
        {
            "In" => pod.TryGetValue(expression.Key, out var value) && expression.Values.Contains(value),
            _ => throw new NotSupportedException($"{expression.OperatorProperty} is read by no test yet"),
        });
}
