namespace LrtMesh.ServiceDefaults.Ops;

/// <summary>Tells what of a role has stopped for good, so that only a restart helps; null while nothing has.</summary>
public sealed record LivenessCheck(Func<string?> Fault);
