"""The public names, for editors and type checkers, which cannot see what __init__.py imports when it is first used."""

from .errors import InputError as InputError
from .settings import Settings as Settings
from .images.read import read_image as read_image
from .trajectories.boxes import Trajectory as Trajectory
from .trajectories.boxes import Trajectories as Trajectories
from .trajectories.boxes import latent_cells as latent_cells
from .trajectories.files import load_trajectories as load_trajectories
from .trajectories.files import save_trajectories as save_trajectories
from .prompts.reference_image import prompt_boxes as prompt_boxes
from .prompts.reference_image import reference_image as reference_image
from .models.load import load_model as load_model
from .models.model import Model as Model
from .latents import encode_image as encode_image
from .latents import encode_video as encode_video
from .latents import decode_latents as decode_latents
from .features import aligned_attention as aligned_attention
from .features import extract_features as extract_features
from .pca import fit_pca as fit_pca
from .pca import similarity_maps as similarity_maps
from .loss import gaussian_weight as gaussian_weight
from .loss import trajectory_loss as trajectory_loss
from .optimize import optimize_latents as optimize_latents
from .frequency import butterworth_mask as butterworth_mask
from .frequency import mix_frequencies as mix_frequencies
from .frequency import radial_spectrum as radial_spectrum
from .sampling import make_schedule as make_schedule
from .sampling import denoise as denoise
from .sampling import control_step as control_step
from .sampling import predict_clean_latents as predict_clean_latents
from .pipeline import Run as Run
from .pipeline import generate as generate
from .pipeline import generate_steps as generate_steps
from .video import read_video as read_video
from .video import write_video as write_video
from .video import show_video as show_video
from .evaluation.metrics import objmc as objmc
from .analysis.matching import matching_accuracy as matching_accuracy
from .analysis.interventions import intervene as intervene

__version__: str
__all__: list[str]
