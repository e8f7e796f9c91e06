namespace LrtMesh.Cli.Evaluation;

/// <summary>How much an evaluation reads and generates.</summary>
/// <param name="CurvePrompts">Dev prompts of a behaviour for its dose-response curve, by which layer and coefficient are chosen.</param>
/// <param name="ConfirmPrompts">Dev prompts of a behaviour for the test of whether it is steerable.</param>
/// <param name="TestPrompts">Test prompts of a behaviour whose continuations are generated under each arm.</param>
/// <param name="Items">Test prompts of a behaviour whose two given continuations are scored under each arm and dose.</param>
/// <param name="Documents">Held-out documents for perplexity, and as many neutral prompts for the divergence.</param>
/// <param name="RandomPerPrompt">Random directions of each kind tried on a prompt.</param>
/// <param name="SweepPrompts">Test prompts of a behaviour in each setting of a sweep.</param>
internal sealed record EvaluationSize(int CurvePrompts, int ConfirmPrompts, int TestPrompts, int Items, int Documents, int RandomPerPrompt, int SweepPrompts)
{
    public static readonly EvaluationSize Full = new(DevChoice.CurvePrompts, DevChoice.ConfirmPrompts, TestPrompts: 120, Items: 60, Documents: 16, RandomPerPrompt: 2, SweepPrompts: 40);

    public static readonly EvaluationSize Quick = new(CurvePrompts: 10, ConfirmPrompts: 40, TestPrompts: 24, Items: 12, Documents: 6, RandomPerPrompt: 1, SweepPrompts: 12);
}
