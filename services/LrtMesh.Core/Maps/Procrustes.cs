using System.Diagnostics;
using LrtMesh.Core.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Maps;

/// <summary>
/// The rotation (with reflection) that maps best: A = s·Q with orthonormal columns, or orthonormal rows where the target is
/// narrower. It keeps angles and, but for the scale s, lengths.
/// </summary>
/// <remarks>
/// A target at least as wide as the source has a closed form: Q = U·Vᵀ of Σyx = U·S·Vᵀ, and s = tr S / tr Σxx (Schönemann
/// 1966). Where the target is narrower, tr(QΣxxQᵀ) depends on Q and that form is not the minimum (Gower and Dijksterhuis
/// 2004, "Procrustes Problems", on projection Procrustes). There the objective is lowered by conjugate gradients on the
/// manifold of orthonormal rows (Edelman, Arias and Smith 1998), from the better of two starts; what is found is a local minimum.
/// </remarks>
public static class Procrustes
{
    private const int MostIterations = 1000;

    /// <summary>Fits a map on all folds but the held-out one, and measures it there.</summary>
    /// <param name="moments">What was gathered.</param>
    /// <param name="scale">True to fit s ≥ 0 too, false for s = 1.</param>
    /// <exception cref="LrtMeshException">FailedPrecondition: too few rows in the fit or none held out.</exception>
    public static MapFit Fit(FoldedMoments moments, bool scale = true)
    {
        var watch = Stopwatch.StartNew();
        var fit = moments.Fit();
        using var scope = NewDisposeScope();
        var centred = CentredMoments.Of(fit);
        return MapFit.Measure(FitMethod.Procrustes, moments, fit, centred, Solve(centred, scale), 0, watch);
    }

    private static Solution Solve(CentredMoments moments, bool scale)
    {
        var cross = moments.Xy.t(); // Σyx: [dt, ds]
        var covariance = new SourceCovariance(moments, standardize: false);
        var (u, s, vh) = linalg.svd(cross, fullMatrices: false);
        var rank = (int)s.gt(s[0].mul(Number.Of(Math.Max(cross.shape[0], cross.shape[1]) / (double)(1 << 24)))).sum().item<long>();
        var rotation = u.matmul(vh); // [dt, ds]
        if (cross.shape[0] >= cross.shape[1])
        {
            var variance = moments.Xx.trace().item<double>();
            var factor = scale && variance > 0 ? s.sum().item<double>() / variance : 1;
            return new Solution(rotation.mul(Number.Of(factor)), rank, covariance.ConstantDimensions);
        }

        var best = Descend(new NarrowTarget(moments.Xx, cross, scale), rotation);
        var (lu, _, lvh) = linalg.svd(LeastSquares.Solve(moments).Map, fullMatrices: false);
        var other = Descend(new NarrowTarget(moments.Xx, cross, scale), lu.matmul(lvh));
        best = other.Value < best.Value ? other : best;
        return new Solution(best.Rotation.mul(Number.Of(best.Factor)), rank, covariance.ConstantDimensions)
        {
            Iterations = best.Iterations,
            Converged = best.Converged,
        };
    }

    /// <summary>Preconditioned conjugate gradients (Polak and Ribière) over Q with QQᵀ = I.</summary>
    private static Descent Descend(NarrowTarget target, Tensor start)
    {
        var at = target.At(start);
        var gradient = Tangent(target.Gradient(at), at.Rotation);
        var downhill = Tangent(target.Precondition(gradient, at), at.Rotation);
        var direction = downhill.neg();
        for (var iteration = 0; iteration < MostIterations; iteration++)
        {
            var steepness = Inner(gradient, downhill);

            // What a step could still gain is about half of this; below rounding of the objective nothing is left to gain.
            if (steepness <= 1e-11 * Math.Abs(at.Value))
            {
                return new Descent(at.Rotation, at.Factor, at.Value, iteration, Converged: true);
            }

            using var scope = NewDisposeScope();
            if (Inner(gradient, direction) >= 0)
            {
                direction = downhill.neg();
            }

            if (Step(target, at, gradient, direction) is not { } next)
            {
                // No step along the direction falls: either rounding is reached, or the direction is stale.
                return new Descent(at.Rotation, at.Factor, at.Value, iteration, Converged: steepness <= 1e-9 * Math.Abs(at.Value));
            }

            var newGradient = Tangent(target.Gradient(next), next.Rotation);
            var newDownhill = Tangent(target.Precondition(newGradient, next), next.Rotation);
            var conjugate = Math.Max(0, (Inner(newGradient, newDownhill) - Inner(newGradient, Tangent(downhill, next.Rotation))) / steepness);

            // What the next step needs outlives this one's scope, and what this one needed ends.
            at.Dispose();
            gradient.Dispose();
            downhill.Dispose();
            at = next.MoveToOuterScope();
            gradient = newGradient.MoveToOuterDisposeScope();
            downhill = newDownhill.MoveToOuterDisposeScope();
            using var last = direction;
            direction = Tangent(direction, next.Rotation).mul_(Number.Of(conjugate)).sub_(downhill).MoveToOuterDisposeScope();
        }

        return new Descent(at.Rotation, at.Factor, at.Value, MostIterations, Converged: false);
    }

    /// <summary>The point after a step that lowers the objective, or null.</summary>
    private static Point? Step(NarrowTarget target, Point at, Tensor gradient, Tensor direction)
    {
        var slope = Inner(gradient, direction);
        var curvature = target.Curvature(at, direction);
        var length = curvature > 0 ? -slope / curvature : 1 / Math.Sqrt(Inner(direction, direction));
        for (var halvings = 0; halvings < 40; halvings++, length /= 2)
        {
            // Back to orthonormal rows, with signs that keep the row where it was.
            var (q, r) = linalg.qr(at.Rotation.add(direction.mul(Number.Of(length)), Number.One).t()); // [ds, dt], [dt, dt]
            var next = target.At(q.mul(r.diagonal().sign()).t());
            if (next.Value <= at.Value + (1e-4 * length * slope))
            {
                return next;
            }
        }

        return null;
    }

    /// <summary>The part of Z along the manifold at Q: Z − sym(ZQᵀ)·Q.</summary>
    private static Tensor Tangent(Tensor z, Tensor q)
    {
        var product = z.matmul(q.t()); // [dt, dt]
        return z.sub(product.add(product.t(), Number.One).mul_(Number.Of(0.5)).matmul(q));
    }

    private static double Inner(Tensor a, Tensor b) => a.mul(b).sum().item<double>();

    /// <summary>Q, QΣxx, s and the objective there.</summary>
    private sealed record Point(Tensor Rotation, Tensor Product, double Factor, double Value) : IDisposable
    {
        public Point MoveToOuterScope() =>
            this with { Rotation = Rotation.MoveToOuterDisposeScope(), Product = Product.MoveToOuterDisposeScope() };

        public void Dispose()
        {
            Rotation.Dispose();
            Product.Dispose();
        }
    }

    private sealed record Descent(Tensor Rotation, double Factor, double Value, int Iterations, bool Converged);

    /// <summary>s²·tr(QΣxxQᵀ) − 2s·tr(QΣxy), with the best s ≥ 0 of each Q or s = 1: Σ‖y − s·Q·x‖² less Σ‖y‖².</summary>
    private sealed class NarrowTarget(Tensor covariance, Tensor cross, bool scale)
    {
        private readonly Tensor _inverse = InverseOf(covariance); // [ds, ds]

        public Point At(Tensor rotation)
        {
            var along = Inner(rotation, cross);
            var product = rotation.matmul(covariance); // [dt, ds]
            var square = Inner(product, rotation);
            var factor = !scale ? 1 : square > 0 ? Math.Max(0, along / square) : 0;
            return new Point(rotation, product, factor, (factor * factor * square) - (2 * factor * along));
        }

        // At the best s the derivative through s vanishes.
        public Tensor Gradient(Point at) =>
            at.Product.mul(Number.Of(2 * at.Factor * at.Factor)).sub_(cross.mul(Number.Of(2 * at.Factor)));

        /// <summary>Second derivative along a tangent, with s held: that of the Lagrangian.</summary>
        public double Curvature(Point at, Tensor direction)
        {
            var product = Gradient(at).matmul(at.Rotation.t()); // [dt, dt]
            var multipliers = product.add(product.t(), Number.One).mul_(Number.Of(0.5));
            return (2 * at.Factor * at.Factor * Inner(direction.matmul(covariance), direction))
                - Inner(multipliers.matmul(direction), direction);
        }

        public Tensor Precondition(Tensor gradient, Point at) => at.Factor > 0
            ? gradient.matmul(_inverse).div_(Number.Of(2 * at.Factor * at.Factor))
            : gradient;

        // Large dimensions would need small steps without it; the shift bounds what small ones are stretched by.
        private static Tensor InverseOf(Tensor covariance)
        {
            var (values, basis) = linalg.eigh(covariance);
            var shift = Math.Max(1e-3 * values.mean().item<double>(), double.Epsilon);
            return basis.div(values.clamp_min(Number.Of(0)).add_(Number.Of(shift), Number.One)).matmul(basis.t());
        }
    }
}
