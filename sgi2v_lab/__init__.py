"""SG-I2V in a notebook: draw boxes and paths on a picture, and a video follows them.

The public names, in the order in which data passes through them. Each is imported when it is first used, so that
`import sgi2v_lab` costs nothing.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "errors": ["InputError"],
        "settings": ["Settings"],
        "boxes": ["KeyBox", "Trajectories", "Trajectory", "latent_cells"],
        "camera": ["camera_pan", "camera_still", "camera_zoom"],
        "images": ["fit_image", "read_image", "to_pil", "to_tensor"],
        "trajectory_files": ["load_trajectories", "read_example", "save_trajectories", "write_example"],
        "prompt": ["prompt_boxes", "reference_image"],
        "models": ["Model", "load_model"],
        "codec": ["Conditioning", "decode_latents", "encode_image", "encode_video"],
        "features": ["assemble", "extract_features", "layers_of", "record_features"],
        "pca": ["fit_pca", "similarity_maps"],
        "loss": ["gaussian_weight", "trajectory_loss"],
        "optimize": ["optimize_latents"],
        "frequency": ["butterworth_mask", "mix_frequencies", "radial_spectrum"],
        "denoise": ["denoise", "draw_noise", "make_schedule", "predict_clean_latents"],
        "pipeline": ["Run", "generate", "generate_steps"],
        "batch": ["generate_batch"],
        "video": ["read_video", "show_video", "write_video"],
        "evaluation.metrics": ["objmc"],
    },
)
