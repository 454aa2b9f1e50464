"""What the chapters of the course use beyond the public names: the course's own helpers, and names from deeper modules.

Each is imported when it is first used. `NAME??` in a notebook shows its source and the module where it lives.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    "sgi2v_lab",
    submod_attrs={
        "course.model_cards": ["model_card"],
        "course.predictions": ["predict"],
        "course.recipes": ["in_fewer_steps", "paper_recipe"],
        "course.videos": ["known_motion", "world_video"],
        "analysis.atlas": ["Atlas"],
        "analysis.attention": ["attention_at"],
        "analysis.clips": ["toy_clips"],
        "analysis.matching": ["attention_weights"],
        "analysis.pairs": ["sample_at"],
        "analysis.passes": ["features_at"],
        "analysis.probes": ["probe_clips"],
        "analysis.sweep": ["feature_sweep"],
        "bench.count_bytes": ["count_bytes"],
        "bench.networks": ["network"],
        "bench.stages": ["one_iteration", "workload"],
        "cli.demo": ["photograph"],
        "efficiency.machine": ["describe_machine", "peak_memory", "total_memory"],
        "efficiency.recompute": ["recomputing"],
        "evaluation.diagnosis": ["diagnose"],
        "evaluation.metrics": ["first_frame_psnr", "measure", "psnr"],
        "evaluation.metrics.frechet": ["frechet_distance"],
        "evaluation.metrics.intervals": ["difference_of_means", "mean_of"],
        "evaluation.scenes.scenes": ["benchmark_scenes"],
        "explore": ["best_matches", "feature_maps", "inspect_latents", "inspect_run", "pca_colours", "place_norms"],
        "features": ["assemble", "features_with_graph"],
        "images.read": ["fit_image", "to_tensor"],
        "models.model": ["layer_name"],
        "models.summary": ["describe_model"],
        "sampling": ["draw_noise"],
        "toy.network.latent_code": ["encode_patches", "kernels", "preview"],
        "trajectories.boxes": ["KeyBox"],
        "trajectories.camera": ["camera_pan", "camera_still", "camera_zoom"],
        "trajectories.geometry": ["EASINGS"],
        "video": ["draw_boxes", "side_by_side"],
        "widgets": [
            "AtlasExplorer",
            "FeatureExplorer",
            "FrequencyExplorer",
            "LossExplorer",
            "Studio",
            "TrajectoryEditor",
        ],
        "widgets.remarks": ["remarks_on"],
    },
)
