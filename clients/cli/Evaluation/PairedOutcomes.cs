namespace LrtMesh.Cli.Evaluation;

/// <summary>
/// One behaviour's outcomes on the same prompts and seeds with no steering, with the native vector, and under a third
/// arm. Each list has one entry a prompt: 1 where the text shows the behaviour and 0 where not, or a mean of such.
/// </summary>
internal sealed record PairedOutcomes(IReadOnlyList<double> None, IReadOnlyList<double> Native, IReadOnlyList<double> Arm);
