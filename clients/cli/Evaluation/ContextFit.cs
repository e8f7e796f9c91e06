using LrtMesh.V1;

namespace LrtMesh.Cli.Evaluation;

/// <summary>Leaves out what does not fit the models' contexts, of behaviours that a user brings.</summary>
internal static class ContextFit
{
    private const int Concurrency = 16;

    /// <summary>The set without prompts and pairs that take over half of a model's context, of either: the other half is for an example before a prompt.</summary>
    /// <param name="note">Takes what was left out.</param>
    /// <exception cref="CommandException">Too few of a behaviour's items are left.</exception>
    public static async Task<BehaviourSet> KeepAsync(BehaviourSet set, IReadOnlyList<LocatedModel> models, Action<string> note, CancellationToken cancellation)
    {
        var behaviours = new List<Behaviour>();
        foreach (var behaviour in set.All)
        {
            var fitting = behaviour with
            {
                Contrast = await FittingAsync(behaviour.Contrast, pair => pair.Positive.Length > pair.Negative.Length ? pair.Positive : pair.Negative),
                Dev = await FittingAsync(behaviour.Dev, Longest),
                Test = await FittingAsync(behaviour.Test, Longest),
            };
            int all = Count(behaviour);
            if (Count(fitting) < all)
            {
                note($"{behaviour.Name}: {all - Count(fitting)} of {all} items are left out: they take over half of a context of {models.Min(model => model.Model.Context)} tokens.");
            }

            BroughtBehaviours.RequireEnough(fitting);
            behaviours.Add(fitting);
        }

        return set.With(behaviours);

        async Task<T[]> FittingAsync<T>(IReadOnlyList<T> items, Func<T, string> text)
        {
            bool[] fits = new bool[items.Count];
            await Parallel.ForAsync(0, items.Count, new ParallelOptions { MaxDegreeOfParallelism = Concurrency, CancellationToken = cancellation }, async (i, _) =>
            {
                fits[i] = true;
                foreach (var model in models)
                {
                    var tokens = await model.Role.Models.TokenizeAsync(new TokenizeRequest { Model = model.Name, Text = text(items[i]), AddSpecialTokens = true }, Mesh.Soon(cancellation));
                    // A template writes some tokens around what is said.
                    fits[i] &= tokens.Tokens.Count + Sampler.NewTokens <= model.Model.Context / 2;
                }
            });
            return [.. items.Where((_, i) => fits[i])];
        }

        static string Longest(BehaviourPrompt prompt) => prompt.Text + (prompt.Positive.Length > prompt.Negative.Length ? prompt.Positive : prompt.Negative);
    }

    private static int Count(Behaviour behaviour) => behaviour.Contrast.Count + behaviour.Dev.Count + behaviour.Test.Count;
}
