using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.TinyFamily;

/// <summary>Weights in training and what their optimizer remembers of past gradients.</summary>
/// <param name="name">Names the state in a saved run.</param>
/// <param name="weights">Updated in place.</param>
internal abstract class TrainedWeights(string name, Tensor weights) : IDisposable
{
    public Tensor Weights { get; } = weights;

    /// <summary>All that a run that goes on needs.</summary>
    public IEnumerable<(string Name, Tensor Tensor)> State =>
        Moments.Select((moment, i) => ($"{name}.moment{i}", moment)).Prepend(($"{name}.weights", Weights.detach()));

    protected abstract IReadOnlyList<Tensor> Moments { get; }

    /// <summary>One step down the gradient.</summary>
    /// <param name="gradient">May be overwritten.</param>
    /// <param name="schedule">0..1, the share of the peak rate.</param>
    /// <param name="step">From 1.</param>
    public abstract void Update(Tensor gradient, double schedule, int step);

    public void Dispose()
    {
        foreach (var moment in Moments)
        {
            moment.Dispose();
        }
    }

    protected Tensor Zeros() => zeros_like(Weights).detach().DetachFromDisposeScope();
}

/// <summary>AdamW (Loshchilov and Hutter, Decoupled Weight Decay Regularization, algorithm 2): for embeddings, which it decays, and norms, which it does not.</summary>
internal sealed class AdamWeights : TrainedWeights
{
    private const double Beta1 = 0.9;
    private const double Beta2 = 0.95;
    private const double Epsilon = 1e-8;
    private const double Decay = 0.1;

    private readonly double _rate;
    private readonly Tensor _mean;
    private readonly Tensor _square;

    public AdamWeights(string name, Tensor weights, double rate)
        : base(name, weights)
    {
        _rate = rate;
        _mean = Zeros();
        _square = Zeros();
    }

    protected override IReadOnlyList<Tensor> Moments => [_mean, _square];

    public override void Update(Tensor gradient, double schedule, int step)
    {
        var rate = _rate * schedule;
        _mean.mul_(Beta1).add_(gradient, alpha: 1 - Beta1);
        _square.mul_(Beta2).addcmul_(gradient, gradient, value: 1 - Beta2);
        if (Weights.dim() == 2)
        {
            Weights.mul_(1 - (rate * Decay));
        }

        var deviation = (_square / (1 - Math.Pow(Beta2, step))).sqrt_().add_(Epsilon);
        Weights.addcdiv_(_mean, deviation, value: -rate / (1 - Math.Pow(Beta1, step)));
    }
}

/// <summary>
/// Muon (Jordan and others, 2024; decay as in Liu and others, Muon is Scalable for LLM Training, 2025): each matrix moves along its
/// momentum with all singular values made equal, so that directions which few tokens pull on, such as the ones that carry a
/// behaviour, are learnt as fast as the common ones.
/// </summary>
internal sealed class MuonWeights : TrainedWeights
{
    private const double Rate = 0.02; // spectral norm of a step
    private const double Momentum = 0.95;
    private const double Decay = 0.1;

    private readonly Tensor _momentum;
    private readonly int _stacked;
    private readonly ScalarType _products;

    /// <param name="name">Names the state.</param>
    /// <param name="weights">[stacked·out, in].</param>
    /// <param name="stacked">Matrices that are stored as one, such as queries, keys and values.</param>
    /// <param name="products">Type of the matrix products.</param>
    public MuonWeights(string name, Tensor weights, int stacked, ScalarType products)
        : base(name, weights)
    {
        _momentum = Zeros();
        _stacked = stacked;
        _products = products;
    }

    protected override IReadOnlyList<Tensor> Moments => [_momentum];

    public override void Update(Tensor gradient, double schedule, int step)
    {
        var rate = Rate * schedule;
        _momentum.mul_(Momentum).add_(gradient, alpha: 1 - Momentum);
        var ahead = gradient.lerp_(_momentum, Momentum); // Nesterov
        Weights.mul_(1 - (rate * Decay));
        foreach (var (weights, direction) in Weights.chunk(_stacked).Zip(ahead.chunk(_stacked)))
        {
            var scale = Math.Sqrt(Math.Max(1.0, (double)direction.shape[0] / direction.shape[1]));
            weights.add_(Orthogonalized(direction, _products).to(ScalarType.Float32), alpha: -rate * scale);
        }
    }

    /// <summary>About U·Vᵀ of m = U·S·Vᵀ, by five Newton-Schulz steps with Jordan's coefficients: singular values end between 0.7 and 1.2.</summary>
    private static Tensor Orthogonalized(Tensor m, ScalarType products)
    {
        const float A = 3.4445f;
        const double B = -4.7750;
        const double C = 2.0315;
        var tall = m.shape[0] > m.shape[1];
        var x = (tall ? m.t() : m) / (m.norm() + 1e-7);
        x = x.to(products);
        for (var i = 0; i < 5; i++)
        {
            var square = x.mm(x.t());
            x = x.addmm((square * B).add_(square.mm(square), alpha: C), x, beta: A); // A·x + (B·s + C·s²)·x
        }

        return tall ? x.t() : x;
    }
}
